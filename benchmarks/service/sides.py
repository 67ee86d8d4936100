"""What is measured, in processes of its own: the service, and beside it a handler that does nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.service.world import Home

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
IDLE_SECONDS, IDLE_SHARE = 0.5, 0.2
"""How long a started server is looked at, and how much of a core each worker may take to count as idle."""
DATABASE_SECONDS = 10.0
"""How long a statement may take: on a busy machine the benchmark shall not measure the spool."""


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        process_id: of the server, or of the supervisor of its workers.
        port: on this machine.
        workers: how many serve.
    """

    process_id: int
    port: int
    workers: int

    def processes(self) -> list[int]:
        """Return the processes that serve: the workers, or the only one."""
        children = Path(f"/proc/{self.process_id}/task/{self.process_id}/children").read_text(encoding="ascii").split()
        return [int(each) for each in children if b"spawn_main" in _told(int(each))] or [self.process_id]

    def cpu_seconds(self) -> float:
        """Return the processor time that those who serve have taken."""
        ticks = os.sysconf("SC_CLK_TCK")
        fields = [_stat(each) for each in self.processes()]
        return sum(int(user) + int(system) for user, system in (each[11:13] for each in fields)) / ticks

    def memory(self) -> list[int]:
        """Return the bytes that each process holds, the supervisor's first; a shared page counts in parts (PSS)."""
        return [_proportional(each) for each in dict.fromkeys([self.process_id, *self.processes()])]


def _told(process_id: int) -> bytes:
    return Path(f"/proc/{process_id}/cmdline").read_bytes()


def _stat(process_id: int) -> list[str]:
    """Return what the kernel tells of a process, from the third field on: the second, its name, may have blanks."""
    return Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def _proportional(process_id: int) -> int:
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@contextmanager
def service(home: Home, *, workers: int = 1) -> Iterator[Running]:
    """Run the service as `abp serve` does."""
    command = ["-m", "ab_platform.api", "--workers", str(workers), "--log-level", "warning"]
    command += ["--database-seconds", str(DATABASE_SECONDS)]
    with _started(command, _environment(home), home.folder / "service.log", workers=workers) as running:
        yield running


@contextmanager
def alone(home: Home) -> Iterator[Running]:
    """Run the service without micro-batching: each slate is scored by itself."""
    command = [*_UVICORN, "--factory", "benchmarks.service.alone:application"]
    with _started(command, _environment(home), home.folder / "alone.log") as running:
        yield running


@contextmanager
def bare(folder: Path, *, workers: int = 1) -> Iterator[Running]:
    """Run the handler that does nothing."""
    command = [*_UVICORN, "--workers", str(workers), "benchmarks.service.bare:app"]
    with _started(command, dict(os.environ), folder / "bare.log", workers=workers) as running:
        yield running


_UVICORN = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


def _environment(home: Home) -> dict[str, str]:
    return {**os.environ, "ABP_HOME": str(home.folder), "ABP_DATABASE_URL": home.url, "OMP_NUM_THREADS": "1"}


@contextmanager
def _started(command: Sequence[str], environment: dict[str, str], log: Path, *, workers: int = 1) -> Iterator[Running]:
    port = _free_port()
    environment |= {"PYTHONPATH": str(ROOT)}
    with log.open("ab") as told:
        process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port)], env=environment, cwd=ROOT, stdout=told, stderr=told
        )
    try:
        _wait(process, port, log)
        running = Running(process.pid, port, workers)
        _settle(running)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until it answers.

    Raises:
        SystemExit: it ended, or takes too long.
    """
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2.0):
                return
        except urllib.error.HTTPError as error:
            if error.code == 404:  # the handler that does nothing has no other path
                return
        except OSError:
            pass
        time.sleep(0.1)
    last = "\n".join(log.read_text(encoding="utf-8").splitlines()[-20:])
    raise SystemExit(f"{last}\nthe server whose log this is, {log}, does not answer")


def _settle(running: Running) -> None:
    """Wait until all workers are up and idle: the first that answers says nothing of the others."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        processes, worked = running.processes(), running.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        same = running.processes() == processes and len(processes) == running.workers
        if same and running.cpu_seconds() - worked < IDLE_SHARE * IDLE_SECONDS * running.workers:
            return
    raise SystemExit(f"the workers of process {running.process_id} are not idle after {START_SECONDS:.0f} s")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
