"""A service in processes of its own, to be loaded, killed and started again; and clients that never give up."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import psutil  # type: ignore[import-untyped]

from ab_platform.events import event_id
from tests.api.conftest import RUNNING

START_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass
class Running:
    """`abp serve`, started."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[psutil.Process]:
        """Return the processes that serve, without the one that supervises them."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in children if "spawn_main" in _command(each)]

    def kill_worker(self) -> None:
        """Kill one worker, once there is one: after two kills the first replacement may still be on its way."""
        until = time.monotonic() + START_SECONDS
        while not (found := self.workers()):
            assert time.monotonic() < until, "no worker came back"
            time.sleep(0.1)
        found[0].send_signal(signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill supervisor and workers at one stroke, as a machine that loses power would."""
        everyone = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for each in everyone:
            each.send_signal(signal.SIGKILL)
        psutil.wait_procs(everyone, timeout=10)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)

    def ready(self) -> dict[str, object]:
        document: dict[str, object] = httpx.get(f"{self.url}/readyz").json()
        return document


def _command(process: psutil.Process) -> str:
    """Return the command of a process; nothing of one that died a moment ago."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def serve(
    folder: Path,
    database_url: str,
    *,
    workers: int = 2,
    port: int | None = None,
    log: Path,
    deadline_ms: float = 100.0,
) -> Running:
    """Start the service without waiting for it."""
    chosen = port or free_port()
    command = [
        sys.executable,
        "-c",
        "from ab_platform.cli.main import main; main()",
        "serve",
        "--open",
        "--port",
        str(chosen),
    ]
    command += ["--workers", str(workers), "--database-seconds", "1", "--deadline-ms", str(deadline_ms)]
    environment = {**os.environ, "ABP_HOME": str(folder), "ABP_DATABASE_URL": database_url}
    with log.open("ab") as err:
        return Running(subprocess.Popen(command, env=environment, stdout=err, stderr=err), chosen)


def wait_ready(running: Running) -> Running:
    """Wait until the service answers."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            if httpx.get(f"{running.url}/readyz", timeout=2.0).status_code == 200:
                return running
        except httpx.HTTPError:
            pass
        assert running.process.poll() is None, "the service ended"
        time.sleep(0.1)
    raise AssertionError("the service did not become ready")


@contextmanager
def served(
    folder: Path, database_url: str, *, workers: int = 2, log: Path, deadline_ms: float = 100.0
) -> Iterator[Running]:
    """Run the service while a test needs it."""
    running = serve(folder, database_url, workers=workers, log=log, deadline_ms=deadline_ms)
    try:
        yield wait_ready(running)
    finally:
        running.stop()


def batch(number: int, *, size: int = 50, sender: int = 0) -> list[dict[str, object]]:
    """Make the impressions of a batch; the same numbers make the same ids."""
    midnight = datetime.combine(datetime.now(UTC).date(), datetime.min.time(), UTC)
    at = midnight + timedelta(milliseconds=number * 10 + sender)
    return [
        {
            "type": "impression",
            "event_id": str(event_id(at, f"{sender}/{number}/{position}")),
            "experiment": RUNNING.key,
            "user_id": f"u{(number * 7 + position) % 400:03d}",
            "surface": "home_card",
            "title_id": f"t{position % 60:02d}",
            "at": at.isoformat(),
            "request_id": str(event_id(at, f"{sender}/{number}")),
            "position": position,
        }
        for position in range(size)
    ]


@dataclass
class Sender:
    """A client that sends batch after batch, each again until it is acknowledged.

    Attributes:
        url: of the service.
        number: tells its events from another's.
        acknowledged: ids that the service said are safe.
        statuses: how often each status was said.
        failures: tries without an answer.
    """

    url: str
    number: int
    acknowledged: set[UUID] = field(default_factory=set)
    statuses: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with httpx.Client(timeout=20.0) as client:
            sent = 0
            while not self._stop.is_set():
                self._send(client, batch(sent, sender=self.number))
                sent += 1

    def _send(self, client: httpx.Client, events: Sequence[dict[str, object]]) -> None:
        body = json.dumps({"events": events})
        while True:
            try:
                reply = client.post(f"{self.url}/v1/events", content=body, headers=JSON)
            except httpx.HTTPError:
                reply = None
            if reply is not None and reply.status_code == 200:
                return self._note(reply.json())
            assert reply is None or reply.status_code == 503, reply.text
            self.failures += 1
            if self._stop.is_set():
                return None
            time.sleep(0.05)

    def _note(self, kept: dict[str, object]) -> None:
        items = kept["items"]
        assert isinstance(items, list)
        for item in items:
            self.statuses[item["status"]] = self.statuses.get(item["status"], 0) + 1
            assert item["status"] != "rejected", item
            self.acknowledged.add(UUID(item["event_id"]))

    def stop(self) -> None:
        self._stop.set()


JSON = {"Content-Type": "application/json"}


@contextmanager
def load(url: str, senders: int = 4) -> Iterator[list[Sender]]:
    """Send events from several clients at once while a test does its worst."""
    made = [Sender(url, number) for number in range(senders)]
    threads = [threading.Thread(target=each.run) for each in made]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        for each in made:
            each.stop()
        for thread in threads:
            thread.join(30)


def acknowledged(senders: Sequence[Sender]) -> set[UUID]:
    return set().union(*(each.acknowledged for each in senders))


def wait_until_drained(running: Running, *, seconds: float = 60.0) -> None:
    """Wait until the spool is empty and the database is there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        health = running.ready()
        if health["spooled_events"] == 0 and health["database"] == "there":
            return
        time.sleep(0.2)
    raise AssertionError(f"the spool still holds events: {running.ready()}")
