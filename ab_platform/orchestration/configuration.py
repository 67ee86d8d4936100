"""How Airflow is configured on this machine: its environment, its secrets, its ports, its supervisor."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from ab_platform.orchestration.address import Address
from ab_platform.orchestration.private import write_private
from ab_platform.orchestration.processes import HOME_VARIABLE, MARK_VARIABLE

COMPONENTS = ("scheduler", "dag-processor", "api-server", "triggerer")
SUPERVISOR = "supervisord"
USER = "admin"
EVERYWHERE = {"0.0.0.0", "::", ""}

PORT, LOG_PORT, TRIGGER_LOG_PORT = 8080, 8793, 8794

TUNING: Mapping[str, str] = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    # A DAG that should wait for a person says so itself: is_paused_upon_creation.
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    # Processes that the executor keeps; the default, 32, is for a bigger machine.
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
    # A scheduler that was killed is missed after 20 s, and its tasks are taken over at the next look, within 15 s.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    # A task whose process vanished is missed after a minute; its heart beats every 5 s.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    # A task outlives an API server that was killed and comes back, and waits for one that is slow after its start.
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "12",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    # Reading DAG files is what an idle Airflow spends its time on.
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "0",
}


@dataclass(frozen=True)
class Configuration:
    """An Airflow on this machine.

    Attributes:
        home: its folder, `AIRFLOW_HOME`.
        address: where it will be, and who signs in.
        environment: of all its processes.
    """

    home: Path
    address: Address
    environment: Mapping[str, str] = field(repr=False)

    @property
    def supervisor_file(self) -> Path:
        """Return the file that tells the supervisor what to run."""
        return self.home / "supervisord.conf"

    @property
    def logs(self) -> Path:
        """Return the folder of the components' own logs."""
        return self.home / "components"


def dags_folder() -> Path:
    """Return the folder of the platform's DAGs, which lies beside this package in a checkout and in a wheel alike."""
    return Path(__file__).parents[2] / "dags"


def configure(
    home: Path,
    *,
    dags: Path,
    inherited: Mapping[str, str],
    host: str = "127.0.0.1",
    port: int | None = None,
    executor: str | None = None,
) -> Configuration:
    """Choose ports, make secrets on the first start, and say how Airflow is configured.

    Args:
        home: Airflow's folder; made where it is not there.
        dags: folder of the DAG files.
        inherited: environment to start from; its variables `AIRFLOW__...` win over what is chosen here.
        host: address to listen on.
        port: to listen on; where None, 8080 or, where that is taken, a free one.
        executor: class or classes of the executor; where None, what is inherited, else the LocalExecutor.
    """
    home.mkdir(parents=True, exist_ok=True)
    known = _secrets(home / "secrets.json")
    reached = "127.0.0.1" if host in EVERYWHERE else host
    chosen = {
        **TUNING,
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__FERNET_KEY": known["fernet_key"],
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API__SECRET_KEY": known["secret_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": known["jwt_secret"],
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port("", LOG_PORT)),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port("", TRIGGER_LOG_PORT)),
    }
    environment = {**inherited, **_not_set(chosen, inherited)}
    environment |= _listening(environment, host, reached, port)
    if executor is not None:
        environment["AIRFLOW__CORE__EXECUTOR"] = executor
    write_private(home / "passwords.json", json.dumps({USER: known["password"]}) + "\n")
    address = Address(environment["AIRFLOW__API__BASE_URL"].rstrip("/"), USER, known["password"])
    return Configuration(home, address, environment | _around(environment, home))


def write_files(configuration: Configuration) -> None:
    """Write what the supervisor reads, and a file for a shell in which `airflow` should mean this Airflow."""
    configuration.logs.mkdir(parents=True, exist_ok=True)
    write_private(configuration.supervisor_file, supervisor_text(configuration))
    mine = {
        name: value
        for name, value in sorted(configuration.environment.items())
        if name.startswith(("AIRFLOW_", "ABP_")) and name != MARK_VARIABLE
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in mine.items()]
    write_private(configuration.home / "environment.sh", "\n".join(lines) + "\n")


def supervisor_text(configuration: Configuration) -> str:
    """Return the supervisor's file: every component comes back whenever it ends, however it ended."""
    # A supervisor that runs as root says so in alarm, unless it is told that root is meant.
    root = ["user=root"] if os.geteuid() == 0 else []
    head = [
        "[supervisord]",
        "nodaemon=true",
        f"logfile={_plain(configuration.logs / 'supervisord.log')}",
        f"pidfile={_plain(configuration.home / 'supervisord.pid')}",
        *root,
        "",
        # One group, so that all of them are stopped at the same time and not one after the other.
        "[group:airflow]",
        f"programs={','.join(COMPONENTS)}",
    ]
    return "\n".join(head + [line for each in COMPONENTS for line in _program(configuration, each)]) + "\n"


def free_port(host: str, wanted: int) -> int:
    """Return the port that is wanted, or any free one where it is taken."""
    for port in (wanted, 0):
        with closing(socket.socket()) as probe:
            # As servers do: a port whose last connection has just ended is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                if port == 0:
                    raise
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("a port that the system picks is free")


def _program(configuration: Configuration, component: str) -> list[str]:
    """Return the supervisor's lines for a component."""
    command = [sys.executable, "-m", "ab_platform.orchestration.component", component, str(configuration.home)]
    return [
        "",
        f"[program:{component}]",
        f"command={_plain(shlex.join(command))}",
        f'environment={MARK_VARIABLE}="{component}"',
        "autorestart=true",
        "startsecs=5",
        "startretries=1000",
        "stopasgroup=true",
        "killasgroup=true",
        "stopwaitsecs=8",
        "redirect_stderr=true",
        f"stdout_logfile={_plain(configuration.logs / f'{component}.log')}",
        "stdout_logfile_maxbytes=20MB",
        "stdout_logfile_backups=2",
    ]


def _plain(text: object) -> str:
    """Return a text that the supervisor reads as it is."""
    return str(text).replace("%", "%%")


def _not_set(chosen: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are not set, neither by value nor by a command or a secret that gives it."""
    ways = ("", "_CMD", "_SECRET")
    return {name: value for name, value in chosen.items() if not any(name + way in inherited for way in ways)}


def _listening(environment: Mapping[str, str], host: str, reached: str, port: int | None) -> dict[str, str]:
    """Return the variables of where the API server listens and how it is reached; they must agree, or no task runs."""
    given = environment.get("AIRFLOW__API__PORT")
    chosen = port or (int(given) if given else free_port(host, PORT))
    own = {
        "AIRFLOW__API__BASE_URL": f"http://{reached}:{chosen}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{reached}:{chosen}/execution/",
        "AIRFLOW__API__HOST": host,
    }
    return {"AIRFLOW__API__PORT": str(chosen), **_not_set(own, environment)}


def _around(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the variables that are not Airflow's own."""
    here = "127.0.0.1,localhost"
    spared = environment.get("NO_PROXY") or environment.get("no_proxy")
    proxies = f"{spared},{here}" if spared else here
    return {
        HOME_VARIABLE: str(home),
        MARK_VARIABLE: SUPERVISOR,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), environment.get("PATH", os.defpath))),
        # Tasks talk to the API server on this machine, past any proxy.
        "NO_PROXY": proxies,
        "no_proxy": proxies,
        # Threads that wait by spinning starve the tasks beside them.
        "OMP_WAIT_POLICY": environment.get("OMP_WAIT_POLICY", "PASSIVE"),
        # A process that writes its title over its environment could not be found by its mark.
        "SPT_NOENV": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _secrets(file: Path) -> dict[str, str]:
    """Return the secrets of a home: made once, since what they sign or lock must be read after a restart too."""
    try:
        found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = {name: secrets.token_urlsafe(64) for name in ("secret_key", "jwt_secret")}
        found["fernet_key"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        found["password"] = secrets.token_urlsafe(9)
        write_private(file, json.dumps(found, indent=2) + "\n")
    return found
