"""`abp serve`: what it refuses, and how it starts and stops."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from ab_platform.cli.main import app
from tests.api.conftest import RUNNING, Home
from tests.api.running import JSON, Running, batch, free_port, serve, served

COMMAND = [sys.executable, "-c", "from ab_platform.cli.main import main; main()", "serve"]


def serving(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `abp serve`, which is expected to end by itself."""
    environment = {**os.environ, "ABP_HOME": str(folder), **variables}
    return subprocess.run([*COMMAND, *options], env=environment, capture_output=True, text=True, timeout=60)


def test_without_tokens_it_listens_on_this_machine_only(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5"):
        told = CliRunner().invoke(app, ["serve", "--open", "--host", host])
        assert told.exit_code == 2
        assert "this machine only" in told.output


def test_the_help_names_what_can_be_chosen() -> None:
    told = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).output
    for option in ("--host", "--port", "--workers", "--open", "--origin", "--deadline-ms", "--log-requests"):
        assert option in told


def test_what_every_worker_would_fail_on_ends_it_at_once(tmp_path: Path) -> None:
    told = serving(tmp_path, "--open", ABP_USER_ID_KEY="short")
    assert told.returncode == 2
    assert "ABP_USER_ID_KEY has 5 characters" in told.stderr
    assert "Traceback" not in told.stderr
    told = serving(tmp_path, "--open", ABP_DATABASE_URL="mysql://somewhere/abp")
    assert told.returncode == 2
    assert "is not a database that the store runs on" in told.stderr


def test_a_port_that_is_taken_ends_it_and_leaves_the_other_service_alone(home: Home, tmp_path: Path) -> None:
    with served(home.folder, home.url, workers=1, log=tmp_path / "log") as running:
        told = serving(home.folder, "--open", "--port", str(running.port))
        assert told.returncode != 0
        assert "Address already in use" in told.stderr
        assert "abp_build_info" in httpx.get(f"{running.url}/metrics").text


@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_it_after_the_requests_that_are_under_way(home: Home, tmp_path: Path, workers: int) -> None:
    with served(home.folder, home.url, workers=workers, log=tmp_path / "log") as running:
        answered: list[int] = []
        asking = threading.Thread(target=lambda: answered.append(_slowly(running)))
        asking.start()
        time.sleep(0.5)
        running.process.send_signal(signal.SIGTERM)
        asking.join(30)
        assert answered == [200]
        assert running.process.wait(30) == 0
    assert httpx_refused(running.url)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()[1:]]
    assert [line for line in lines if line["level"] not in {"info", "warning"}] == []


def _slowly(running: Running) -> int:
    """Send a request in two parts, the second when the service was told to end; return the status of its reply."""
    body = json.dumps({"events": batch(1)}).encode()
    head = f"POST /v1/events HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(head.encode() + body[:100])
        time.sleep(2.0)
        connection.sendall(body[100:])
        reply = connection.recv(100)
    return int(reply.split()[1])


def httpx_refused(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.ConnectError:
        return True
    return False


def test_the_workers_of_a_supervisor_that_was_killed_end_too(home: Home, tmp_path: Path) -> None:
    running = serve(home.folder, home.url, workers=2, log=tmp_path / "log")
    try:
        until = time.monotonic() + 60.0
        while "Application startup complete" not in (tmp_path / "log").read_text() and time.monotonic() < until:
            time.sleep(0.1)
        workers = running.workers()
        running.process.kill()
        running.process.wait()
        assert workers
        for each in workers:
            each.wait(30)
    finally:
        running.process.kill()


def test_a_client_without_a_token_is_refused_unless_it_is_open(home: Home, tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "ABP_HOME": str(home.folder)}
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen([*COMMAND, "--port", str(port), "--workers", "1"], env=environment, stderr=log)
    running = Running(process, port)
    try:
        until = time.monotonic() + 60.0
        while httpx_refused(running.url) and time.monotonic() < until:
            time.sleep(0.1)
        asked = {"user_id": "u001", "experiments": [RUNNING.key]}
        reply = httpx.post(f"{running.url}/v1/assignments", json=asked, headers=JSON)
        assert reply.status_code == 401
        assert httpx.get(f"{running.url}/metrics").status_code == 401
    finally:
        running.stop()
