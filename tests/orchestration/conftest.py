"""A real Airflow for the tests, started as a person starts it, on free ports and in folders of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from ab_platform.orchestration.address import Address, read
from ab_platform.orchestration.client import AirflowClient
from ab_platform.orchestration.configuration import free_port
from ab_platform.orchestration.processes import end, marked

ROOT = Path(__file__).parents[2]
DAGS = Path(__file__).parent / "dags"
# Whoever runs the tests in the background of a shell has Ctrl-C ignored, and children inherit that.
HEED_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
ABP = (sys.executable, "-c", f"{HEED_CTRL_C}; from ab_platform.cli.main import main; main()")
PATIENCE_SECONDS = 200.0


@dataclass(frozen=True)
class Served:
    """An Airflow that was started by `abp airflow`, and the home of the platform around it."""

    home: Path
    process: subprocess.Popen[str]
    log: Path

    @property
    def airflow_home(self) -> Path:
        return self.home / "airflow"

    @property
    def address(self) -> Address:
        found = read(self.airflow_home)
        assert found is not None
        return found

    def client(self) -> AirflowClient:
        return AirflowClient(self.address)

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start another `abp` in the same home, and end it, however the test ends."""
        process = subprocess.Popen(
            [*ABP, *words],
            env=environment(self.home),
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def abp(self, *words: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run another `abp` in the same home to its end."""
        with self.started(*words) as process:
            stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == exit_code, f"{words} ended with {process.returncode}:\n{stdout}\n{stderr}"
        assert "Traceback" not in stderr
        return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ABP_", "AIRFLOW"))}
    # Any free ports, and not the usual ones, which whoever runs these tests at the same time would choose too.
    ports = (
        "AIRFLOW__API__PORT",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT",
    )
    kept |= {name: str(free_port("", 0)) for name in ports}
    return kept | {
        "ABP_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "PYTHONPATH": os.pathsep.join([str(ROOT), kept.get("PYTHONPATH", "")]).strip(os.pathsep),
        "NO_COLOR": "1",
    }


@contextmanager
def served(home: Path) -> Iterator[Served]:
    """Start Airflow with `abp airflow`, and end it and all of its processes, however the test ends."""
    log = home / "abp-airflow.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [*ABP, "airflow"], env=environment(home), cwd=home, stdout=file, stderr=subprocess.STDOUT, text=True
        )
    try:
        yield Served(home, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        end(marked(home / "airflow"))


@pytest.fixture(scope="module")
def airflow() -> Iterator[Served]:
    """An Airflow with the DAG of this folder, healthy; of the module, as it takes processor time while idle, too."""
    # Not imported: Airflow reads its environment when it is loaded, and other tests of this process set their own.
    if any(find_spec(name) is None for name in ("airflow", "supervisor")):
        pytest.skip("apache-airflow and supervisor are not installed")
    # Not pytest's folder: Airflow's paths get long.
    home = Path(tempfile.mkdtemp(prefix="abp-airflow-"))
    try:
        with served(home) as found:
            wait_until(lambda: "Airflow runs at" in found.log.read_text(), found)
            yield found
            found.process.send_signal(signal.SIGTERM)
            assert found.process.wait(timeout=60) == 0, found.log.read_text()
            assert marked(found.airflow_home) == []
    finally:
        shutil.rmtree(home, ignore_errors=True)


def wait_until(true: object, found: Served, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition holds, while Airflow runs."""
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        told = found.log.read_text()
        assert found.process.poll() is None, f"abp airflow ended with {found.process.returncode}:\n{told}"
        assert time.monotonic() < deadline, f"not within {seconds} s:\n{told}"
        time.sleep(0.2)
