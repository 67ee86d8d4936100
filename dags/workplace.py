"""What the DAGs share: owners, retries, assets, where GPU tasks go, and the platform's own things.

A DAG file is read again and again, so nothing heavy is imported here or there but inside a task.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, ExceptionRetryPolicy, Param, RetryAction, RetryRule

from ab_platform.errors import DataError, ExperimentError, NotFoundError, OutOfMemoryError
from ab_platform.settings import Settings, from_environment

if TYPE_CHECKING:
    from ab_platform.storage.archive import Archive
    from ab_platform.storage.store import Store
    from ab_platform.storage.warehouse.reads import UserReads
    from ab_platform.training import Workshop

OWNER = "experimentation"

USER_DAYS = Asset("user_days", uri="abp://user-days", group="experiments")
"""What users did by day, as far as it is rolled up."""
LIFTS = Asset("lifts", uri="abp://lifts", group="experiments")
"""The tables, the checks of the split and the decisions of running experiments."""
ARTIFACTS = Asset("artifacts", uri="abp://artifacts", group="arms")
"""Trained arms that passed their quality gate."""

RETRIES = 4

PATIENT = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[OutOfMemoryError, DataError, ExperimentError, NotFoundError],
            action=RetryAction.FAIL,
            reason="a repetition would fail alike; the message says what to change",
        )
    ]
)
"""A database or worker that went away is waited for; what a person must mend fails at once."""

DEFAULTS: dict[str, Any] = {
    "owner": OWNER,
    "retries": RETRIES,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": PATIENT,
    "execution_timeout": timedelta(hours=2),
}

SCHEDULED: dict[str, Any] = {"default_args": DEFAULTS, "catchup": False, "max_active_runs": 1}
"""Of a DAG on a schedule: what it missed needs no run of its own, since the next one does all that is due."""

TRAINING_TIMEOUT = timedelta(hours=24)

SETTINGS = from_environment()


def gpu_options(settings: Settings = SETTINGS) -> dict[str, Any]:
    """Return where a training runs: queue and pool `gpu`; an executor and a pod of its own where the settings say so.

    A queue or pool that no special worker serves is harmless; an executor that is not configured would keep the DAG
    from loading.
    """
    options: dict[str, Any] = {"queue": "gpu", "pool": "gpu", "execution_timeout": TRAINING_TIMEOUT}
    if settings.gpu_executor is not None:
        options["executor"] = settings.gpu_executor
    if settings.gpu_image is not None:
        options["executor_config"] = {"pod_override": _gpu_pod(settings.gpu_image, settings.gpus)}
    return options


def _gpu_pod(image: str, gpus: int) -> Any:
    from kubernetes.client import models as k8s

    limits = k8s.V1ResourceRequirements(limits={"nvidia.com/gpu": str(gpus)})
    # The executor looks for the container of the task by this name.
    container = k8s.V1Container(name="base", image=image, resources=limits)
    return k8s.V1Pod(spec=k8s.V1PodSpec(containers=[container]))


@contextmanager
def store() -> Iterator[Store]:
    """Open the platform's store for one task."""
    from ab_platform.storage.store import open_store

    opened = open_store(from_environment().database_url, migrate=False)
    try:
        yield opened
    finally:
        opened.close()


def archive_in_use() -> Archive | None:
    """Open the archive; None where none is in use."""
    from ab_platform.storage.archive import Archive

    settings = from_environment()
    return Archive(settings.archive) if settings.archive_in_use else None


def user_reads(opened: Store) -> UserReads:
    """Open what the settings say reads the users of an analysis."""
    from ab_platform.warehouse import user_reads

    settings = from_environment()
    return user_reads(opened, warehouse=settings.warehouse, archive=settings.archive, at=now())


def workshop() -> Workshop:
    """Return where and on what arms are trained."""
    from ab_platform.training import Workshop

    settings = from_environment()
    return Workshop(settings.artifacts, settings.checkpoints)


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def moment(typed: str | None) -> datetime | None:
    """Return the moment that was typed into a form; one without a zone is in UTC."""
    if not typed:
        return None
    read = datetime.fromisoformat(typed)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def field(default: object, *, title: str, say: str, **schema: Any) -> Param:
    """Make a field of a trigger form that says what to type, beside the field and when it refuses what was typed."""
    if "items" in schema:
        schema["items"] = {**schema["items"], "hint": say}
    return Param(default, title=title, description=say, hint=say, **schema)


MOMENT_FIELD: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
KEY_FIELD: dict[str, Any] = {"type": ["null", "string"], "pattern": "^[a-z0-9][a-z0-9_.-]{0,63}$"}


def experiment_files() -> list[str]:
    """List the experiment files that the trigger form offers."""
    folder: Path = SETTINGS.experiments
    return sorted(path.name for path in folder.glob("*.toml"))


def experiment_params() -> dict[str, Param]:
    """Return the part of a trigger form that names the experiment: a file, or a definition in place of one."""
    files = experiment_files()
    return {
        "experiment": field(
            "pia-vs-multivae.toml" if "pia-vs-multivae.toml" in files else (files or [""])[0],
            type="string",
            enum=files or [""],
            title="Experiment file",
            say="One of the files in ABP_EXPERIMENTS; choose one of the names in the list.",
        ),
        "definition": field(
            None,
            type=["null", "string"],
            format="multiline",
            title="Definition instead of a file",
            say="The text of an experiment file (TOML), in place of a file. Leave it empty to take the file.",
        ),
    }


def definition(params: dict[str, Any]) -> tuple[str, str]:
    """Return the text of the experiment that a trigger form names, and where it comes from.

    Raises:
        ExperimentError: for a file that is not there any more.
    """
    if params["definition"]:
        return str(params["definition"]), "definition"
    path = from_environment().experiments / str(params["experiment"])
    if not path.is_file():
        raise ExperimentError(f"{path} is not a file; name one of {', '.join(experiment_files())}")
    return path.read_text(encoding="utf-8"), str(path)
