"""Addresses, paths and secrets from the environment; read by entry points only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ab_platform.errors import PlatformError, nearest

EXPERIMENTS = "experiments"


@dataclass(frozen=True)
class Settings:
    """Where the platform keeps its things, and whom it talks to.

    Attributes:
        home: folder of the database, artifacts and checkpoints (`ABP_HOME`, default `.abp` in the current folder).
        database_url: SQLAlchemy address of the store (`ABP_DATABASE_URL`, default SQLite in `home`).
        data_home: folder where data sets are looked for and downloaded to (`ABP_DATA_HOME`, default `data` in `home`).
        archive: folder of the days that are kept as Parquet files (`ABP_ARCHIVE`, default `archive` in `home`).
        archive_chosen: whether that folder was named, so that it is in use from its first day on.
        experiments: folder of experiment files (`ABP_EXPERIMENTS`, default the examples that come with the platform).
        gpus: processes that one training runs in, each on a GPU of its own (`ABP_GPUS`, default 1).
        gpu_executor: executor of trainings in Airflow (`ABP_GPU_EXECUTOR`, such as `CeleryExecutor`; default its own).
        gpu_image: image of a training's pod under Kubernetes (`ABP_GPU_IMAGE`).
        airflow_url: address of Airflow (`ABP_AIRFLOW_URL`, default the one that `abp airflow` started).
        airflow_user: who signs in there (`ABP_AIRFLOW_USER`).
        airflow_password: of that user (`ABP_AIRFLOW_PASSWORD`).
        airflow_token: instead of user and password (`ABP_AIRFLOW_TOKEN`).
        service_token: shown to the online service (`ABP_SERVICE_TOKEN`).
        alert_webhook: address that alerts are posted to (`ABP_ALERT_WEBHOOK`).
        alert_email: address that alerts are mailed to (`ABP_ALERT_EMAIL`).
        smtp_url: mail server, as `smtp://user:password@host:port` (`ABP_SMTP_URL`).
        user_id_key: key of the hashes by which users are known (`ABP_USER_ID_KEY`; without, by their own ids).
        otlp_endpoint: address that the service's traces go to (`OTEL_EXPORTER_OTLP_ENDPOINT`, OpenTelemetry's own).
        warehouse: who reads the users of an analysis (`ABP_WAREHOUSE`, default `database`): over the archive `duckdb`,
            `spark-local`, `spark://HOST:PORT`, or an engine by the address that Ibis connects to.
    """

    home: Path
    database_url: str = field(repr=False)
    data_home: Path
    experiments: Path
    archive: Path
    archive_chosen: bool = False
    gpus: int = 1
    gpu_executor: str | None = None
    gpu_image: str | None = None
    airflow_url: str | None = None
    airflow_user: str | None = None
    airflow_password: str | None = field(default=None, repr=False)
    airflow_token: str | None = field(default=None, repr=False)
    service_token: str | None = field(default=None, repr=False)
    alert_webhook: str | None = field(default=None, repr=False)
    alert_email: str | None = None
    smtp_url: str | None = field(default=None, repr=False)
    user_id_key: str | None = field(default=None, repr=False)
    otlp_endpoint: str | None = None
    warehouse: str = "database"

    @property
    def archive_in_use(self) -> bool:
        """Tell whether there is an archive, or is to be one."""
        return self.archive_chosen or (self.archive / "archive.json").exists()

    @property
    def artifacts(self) -> Path:
        """Return the folder of trained arms."""
        return self.home / "artifacts"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of trainings under way."""
        return self.home / "checkpoints"

    @property
    def service(self) -> Path:
        """Return the folder of what the service keeps: its roster, spool and marks."""
        return self.home / "service"

    @property
    def airflow_home(self) -> Path:
        """Return the folder of the Airflow that runs on this machine."""
        return self.home / "airflow"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings, with defaults that need no server.

    Raises:
        PlatformError: for a value that is not what its variable holds.
    """
    home = Path(environment.get("ABP_HOME") or ".abp").expanduser().absolute()
    return Settings(
        home=home,
        database_url=environment.get("ABP_DATABASE_URL") or f"sqlite:///{home / 'abp.db'}",
        data_home=Path(environment.get("ABP_DATA_HOME") or home / "data").expanduser().absolute(),
        experiments=Path(environment.get("ABP_EXPERIMENTS") or examples()).expanduser().absolute(),
        archive=Path(environment.get("ABP_ARCHIVE") or home / "archive").expanduser().absolute(),
        archive_chosen=bool(environment.get("ABP_ARCHIVE")),
        gpus=_count("ABP_GPUS", environment.get("ABP_GPUS") or "1"),
        gpu_executor=environment.get("ABP_GPU_EXECUTOR") or None,
        gpu_image=environment.get("ABP_GPU_IMAGE") or None,
        airflow_url=environment.get("ABP_AIRFLOW_URL") or None,
        airflow_user=environment.get("ABP_AIRFLOW_USER") or None,
        airflow_password=environment.get("ABP_AIRFLOW_PASSWORD") or None,
        airflow_token=environment.get("ABP_AIRFLOW_TOKEN") or None,
        service_token=environment.get("ABP_SERVICE_TOKEN") or None,
        alert_webhook=environment.get("ABP_ALERT_WEBHOOK") or None,
        alert_email=environment.get("ABP_ALERT_EMAIL") or None,
        smtp_url=environment.get("ABP_SMTP_URL") or None,
        user_id_key=environment.get("ABP_USER_ID_KEY") or None,
        otlp_endpoint=environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
        warehouse=environment.get("ABP_WAREHOUSE") or "database",
    )


SignIn = Literal["off", "token", "oidc"]

SIGN_INS: tuple[SignIn, ...] = get_args(SignIn)


@dataclass(frozen=True)
class DashboardSettings:
    """Who may use the dashboard, and where it reads.

    Attributes:
        reading_url: address that its pages read, for reading only (`ABP_DASHBOARD_DATABASE_URL`, default the platform's
            own); what a person does goes to the platform's own.
        sign_in: how people say who they are (`ABP_DASHBOARD_SIGN_IN`): `off`, by a platform `token`, or by `oidc`.
        operators: e-mail addresses of those who may stop and ramp, under oidc (`ABP_DASHBOARD_OPERATORS`).
        readers: addresses, or domains, of those who may look besides, under oidc (`ABP_DASHBOARD_READERS`); None for
            everyone whom the provider knows.
        refresh_seconds: after which a page looks for newer figures (`ABP_DASHBOARD_REFRESH_SECONDS`).
    """

    reading_url: str = field(repr=False)
    sign_in: SignIn = "off"
    operators: frozenset[str] = frozenset()
    readers: frozenset[str] | None = None
    refresh_seconds: int = 30


def dashboard_from_environment(environment: Mapping[str, str] = os.environ) -> DashboardSettings:
    """Read the settings of the dashboard; lists are separated by commas or blanks.

    Raises:
        PlatformError: for a way to sign in that there is not, an operator that is no e-mail address, or a refresh that
            is no number of seconds.
    """
    sign_in = environment.get("ABP_DASHBOARD_SIGN_IN") or "off"
    if sign_in not in SIGN_INS:
        raise PlatformError(f"ABP_DASHBOARD_SIGN_IN is {sign_in!r}; {nearest(sign_in, SIGN_INS)}")
    operators = _addresses(environment.get("ABP_DASHBOARD_OPERATORS"))
    for each in sorted(operators):
        if not each.partition("@")[0] or not each.partition("@")[2]:
            raise PlatformError(f"ABP_DASHBOARD_OPERATORS names {each!r}; an operator is one whole e-mail address")
    return DashboardSettings(
        reading_url=environment.get("ABP_DASHBOARD_DATABASE_URL") or from_environment(environment).database_url,
        sign_in=sign_in,
        operators=operators,
        readers=_addresses(environment.get("ABP_DASHBOARD_READERS")) or None,
        refresh_seconds=_count(
            "ABP_DASHBOARD_REFRESH_SECONDS", environment.get("ABP_DASHBOARD_REFRESH_SECONDS") or "30"
        ),
    )


@dataclass(frozen=True)
class ServiceSettings:
    """How the workers of the service run: what starts them tells them, through the environment.

    Attributes:
        workers: processes.
        open_to_all: needs no token.
        origins: web origins whose pages may call.
        deadline_ms: after which popularity serves.
        database_seconds: how long the database may take before events go to the spool.
        log_requests: whether each request is a line of the log.
        meters: folder where the workers put their meters together.
    """

    workers: int = 1
    open_to_all: bool = False
    origins: tuple[str, ...] = ()
    deadline_ms: float = 100.0
    database_seconds: float = 2.0
    log_requests: bool = False
    meters: str | None = None


SERVICE = "AB_PLATFORM_SERVICE"
"""Variable by which the workers of the service are told how to run; nobody else sets it."""


def tell_workers(told: ServiceSettings) -> None:
    """Leave word for the workers that this process starts."""
    os.environ[SERVICE] = json.dumps(asdict(told))
    if told.meters is not None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = told.meters
    # Threads of one product each: the workers are what runs side by side.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def told_workers(environment: Mapping[str, str] = os.environ) -> ServiceSettings:
    """Read how this worker runs."""
    values = json.loads(environment.get(SERVICE) or "{}")
    return ServiceSettings(**{**values, "origins": tuple(values.get("origins", ()))})


def for_child(chosen: Settings, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of a child process that may run in another folder: its paths are absolute."""
    return {
        **environment,
        "ABP_HOME": str(chosen.home),
        "ABP_DATABASE_URL": chosen.database_url,
        "ABP_DATA_HOME": str(chosen.data_home),
        "ABP_EXPERIMENTS": str(chosen.experiments),
        "ABP_WAREHOUSE": chosen.warehouse,
    }


def examples() -> Path:
    """Return the folder of the examples: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).parent
    beside = package.parent / EXPERIMENTS
    return beside if beside.is_dir() else package / EXPERIMENTS


def _addresses(listed: str | None) -> frozenset[str]:
    return frozenset((listed or "").replace(",", " ").lower().split())


def _count(name: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise PlatformError(f"{name} is {value!r}; it must be a whole number from 1")
    return int(value)
