"""Start Airflow on this machine, keep its components alive, and leave no process behind at its end."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from ab_platform.errors import AirflowAwayError, AirflowError
from ab_platform.orchestration import address
from ab_platform.orchestration.client import AirflowClient
from ab_platform.orchestration.configuration import SUPERVISOR, Configuration, write_files
from ab_platform.orchestration.processes import MARK_VARIABLE, end, marked
from ab_platform.orchestration.workers import Workers

SECONDS_BETWEEN_LOOKS = 0.5
STARTS_WITHIN_SECONDS = 180.0
STOPS_WITHIN_SECONDS = 20.0
SHORT_SECONDS, SHORT_LIVES = 10.0, 3
"""A supervisor that lives so short so many times in a row cannot stay; one that is killed now and then can."""

POOL, POOL_SLOTS = "gpu", 1
LOCK = "lock"

Pause = Callable[[float], None]


class Local:
    """An Airflow that runs on this machine.

    Attributes:
        configuration: how it runs.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._supervisor = _supervise(configuration)
        self._workers = Workers(configuration.home)
        self._since = monotonic()
        self._short_lives = 0

    def wait_until_healthy(self, *, pause: Pause, within_seconds: float = STARTS_WITHIN_SECONDS) -> None:
        """Wait until every component is well, then make the pool that trainings take turns in.

        Raises:
            AirflowError: where that takes too long.
        """
        with AirflowClient(self.configuration.address) as client:
            deadline = monotonic() + within_seconds
            while (ill := _ill(client)) and monotonic() < deadline:
                self.keep()
                pause(SECONDS_BETWEEN_LOOKS)
            if ill:
                raise AirflowError(
                    f"Airflow is not well after {within_seconds:.0f} s: {ill}; "
                    f"the logs in {self.configuration.logs} say why"
                )
            client.make_pool(POOL, POOL_SLOTS, description="Trainings that take turns on the GPU")

    def keep(self) -> None:
        """Start the supervisor again where it ended, and the scheduler anew where its workers are stuck.

        The supervisor keeps the components, and nobody else keeps it.

        Raises:
            AirflowError: where it cannot stay.
        """
        self._workers.mend()
        code = self._supervisor.poll()
        if code is None:
            return
        self._short_lives = self._short_lives + 1 if monotonic() - self._since < SHORT_SECONDS else 0
        if self._short_lives > SHORT_LIVES:
            log = self.configuration.logs / "supervisord.log"
            raise AirflowError(f"Airflow's supervisor ended with {code} again and again; {log} says why")
        self._supervisor, self._since = _supervise(self.configuration), monotonic()

    def stop(self) -> None:
        """End every process of it, those of its tasks too; a task that ran runs again after the next start."""
        self._supervisor.terminate()
        try:
            self._supervisor.wait(STOPS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        end(marked(self.configuration.home))


@contextmanager
def serving(configuration: Configuration) -> Iterator[Local]:
    """Run Airflow for as long as the context lasts; what an earlier one left is ended before.

    Raises:
        AirflowError: where Airflow's database cannot be migrated.
    """
    write_files(configuration)
    end(marked(configuration.home))
    _migrate(configuration)
    address.write(configuration.home, configuration.address)
    local = Local(configuration)
    try:
        yield local
    finally:
        local.stop()


@contextmanager
def alone(home: Path) -> Iterator[bool]:
    """Tell whether this is the only process that may start Airflow in a home, for as long as the context lasts.

    Yields:
        False where another one runs it, or was killed and left its supervisor.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        if marked(home, SUPERVISOR):
            yield False
            return
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield True


def stop(home: Path, *, pause: Pause) -> bool:
    """Stop the Airflow of a home, whoever started it; return whether one ran."""
    started_by = _starter(home)
    if started_by is not None:
        os.kill(started_by, signal.SIGTERM)
    for _ in range(int(2 * STOPS_WITHIN_SECONDS / SECONDS_BETWEEN_LOOKS)):
        if _starter(home) is None:
            break
        pause(SECONDS_BETWEEN_LOOKS)
    left = marked(home, SUPERVISOR)
    end(left, grace_seconds=STOPS_WITHIN_SECONDS)
    end(marked(home))
    return started_by is not None or bool(left)


def _starter(home: Path) -> int | None:
    """Return the process that runs the Airflow of a home, or None where it ended."""
    try:
        with (home / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        written = (home / LOCK).read_text(encoding="utf-8").strip()
        return int(written) if written else None


def _supervise(configuration: Configuration) -> subprocess.Popen[bytes]:
    """Start the supervisor in a session of its own: Ctrl-C reaches who started it, and that one stops it in order."""
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(configuration.supervisor_file)]
    return subprocess.Popen(
        command,
        env=dict(configuration.environment),
        cwd=configuration.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _migrate(configuration: Configuration) -> None:
    """Bring Airflow's database up to date."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env={**configuration.environment, MARK_VARIABLE: "migrate"},
        cwd=configuration.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (configuration.logs / "migrate.log").write_text(done.stdout, encoding="utf-8")
    if done.returncode:
        last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "it said nothing")
        raise AirflowError(
            f"Airflow's database could not be migrated: {last.strip()}; all of it: {configuration.logs / 'migrate.log'}"
        )


def _ill(client: AirflowClient) -> str:
    """Return what is not well, in words; empty where everything is."""
    try:
        health = client.health()
    except AirflowAwayError:
        return "its API server does not answer"
    return ", ".join(f"{name} is {status or 'not there'}" for name, status in health.items() if status != "healthy")
