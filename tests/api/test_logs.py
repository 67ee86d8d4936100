"""The log: one JSON object a line, with the request it belongs to, and nothing in it that is secret."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from ab_platform.api.app import Web
from ab_platform.api.logs import REQUEST_ID, JsonLines
from ab_platform.errors import NotFoundError, StoreAwayError
from ab_platform.storage.connection import connect, writing
from tests.api.conftest import RUNNING, Home, Service, start
from tests.api.running import batch, served

USER = "someone-whom-nobody-may-know"


def record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    told = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, args, told)


def test_a_line_is_one_json_object_with_the_request_it_belongs_to() -> None:
    named = REQUEST_ID.set("the-request")
    try:
        told = json.loads(JsonLines().format(record("%d arms\nare\u2028missing", 2)))
    finally:
        REQUEST_ID.reset(named)
    assert datetime.fromisoformat(told.pop("at")).tzinfo is not None
    assert told == {
        "level": "warning",
        "logger": "a.logger",
        "message": "2 arms\nare\u2028missing",
        "request_id": "the-request",
    }
    assert "request_id" not in json.loads(JsonLines().format(record("nobody asked")))


def test_whatever_is_said_is_one_line() -> None:
    try:
        raise ValueError("two\nlines \ud800 \x85 \u2028")
    except ValueError as error:
        line = JsonLines().format(record("it %s", "failed\r\nbadly", error=error))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert "Traceback" in json.loads(line)["exception"]


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    """The lines of the log, as they are said, from all threads and at every level."""
    lines: list[dict[str, Any]] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name.split(".")[0] in {"httpx", "httpcore"}:  # the client's own log
                return
            lines.append(json.loads(JsonLines().format(record)))

    root, keeping, level = logging.getLogger(), Keeping(), logging.getLogger().level
    root.addHandler(keeping)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(keeping)
    root.setLevel(level)


@pytest.fixture
def talkative(home: Home) -> Iterator[Service]:
    """A service that logs every request."""
    yield from start(home, Web(log_requests=True))


def test_a_request_s_lines_have_its_id_also_from_the_thread_that_reads(
    talkative: Service, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **more: object) -> None:
        raise StoreAwayError("the database does not answer")

    monkeypatch.setattr(talkative.worker.histories, "_read", away)
    headers = {"X-Request-Id": "the-request", "Authorization": f"Bearer {talkative.token('recommend')}"}
    body = {"user_id": USER, "surface": "home_card"}
    assert talkative.client.post("/v1/recommendations", json=body, headers=headers).status_code == 200
    mine = {line["message"].split(":")[0] for line in told if line.get("request_id") == "the-request"}
    assert "histories are served from memory" in mine
    assert any(each.startswith("POST /v1/recommendations 200 ") for each in mine)


def test_a_fault_is_one_line_with_its_traceback_and_the_request(
    service: Service, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(service.worker.recorder, "record", fail)
    reply = service.client.post("/v1/events", json={"events": batch(0)}, headers={"X-Request-Id": "the-request"})
    assert (reply.status_code, reply.json()["code"]) == (500, "failed")
    assert "out of order" not in reply.text
    [line] = [each for each in told if "exception" in each]
    assert (line["level"], line["request_id"]) == ("error", "the-request")
    assert "RuntimeError: out of order" in line["exception"]


def misuse(service: Service, text: str) -> None:
    """Ask in every way, well and badly, so that the service has much to say."""
    client, headers = service.client, {"Authorization": f"Bearer {text}"}
    now = datetime.now(UTC).isoformat()
    event = {"type": "exposure", "experiment": RUNNING.key, "user_id": USER, "surface": "home_card", "at": now}
    for experiment in (RUNNING.key, "another"):
        asked = {"user_id": USER, "surface": "home_card", "experiment": experiment}
        client.post("/v1/recommendations", json=asked, headers=headers)
        client.post("/v1/assignments", json={"user_id": USER, "experiments": [experiment]}, headers=headers)
        client.post("/v1/events", json={"events": [{**event, "experiment": experiment}]}, headers=headers)
    client.post("/v1/events", json={"events": [event, {**event, "arm": "x"}, {**event, "at": USER}]}, headers=headers)
    client.post("/v1/events", content=f'{{"events": [{{"user_id": "{USER}"', headers=headers)
    client.get("/v1/experiments", params={"user_id": USER}, headers=headers)
    client.post("/v1/erasures", json={"user_id": USER}, headers=headers)


def test_no_line_has_a_user_a_token_or_a_body_at_any_level(
    talkative: Service, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = talkative.token("assign", "recommend", "events", "read", "admin")
    misuse(talkative, text)
    with monkeypatch.context() as patch:
        for error in (NotFoundError("no such experiment"), RuntimeError("out of order"), StoreAwayError("away")):

            def fail(batch: object, error: Exception = error) -> None:
                raise error

            patch.setattr(talkative.worker.recorder._store, "record_each", fail)
            misuse(talkative, text)
    with connect(talkative.home.url).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE exposures RENAME COLUMN arm TO side")
        connection.exec_driver_sql("ALTER TABLE interactions RENAME COLUMN at TO seen_at")
    time.sleep(1.1)  # the database is left alone for a second after it was away
    misuse(talkative, text)
    lines = json.dumps(told)
    assert len(told) > 30
    for fault in ("no column named arm", "no such column: interactions.at"):
        assert any(fault in each.get("exception", "") for each in told)
    assert any("out of order" in each.get("exception", "") for each in told)
    assert any("events go to the spool" in each["message"] for each in told)
    assert USER not in lines
    assert text.split("_")[2] not in lines


@pytest.mark.parametrize("workers", [1, 2])
def test_every_line_of_a_real_service_is_json(home: Home, tmp_path: Path, workers: int) -> None:
    with served(home.folder, home.url, workers=workers, log=tmp_path / "log") as running:
        with writing(connect(home.url)):
            httpx.post(f"{running.url}/v1/events", json={"events": batch(0)}, timeout=20.0).raise_for_status()
        if workers == 2:
            running.kill_worker()
        time.sleep(1.0)
    [greeting, *lines] = (tmp_path / "log").read_text().splitlines()
    assert greeting.startswith("http://127.0.0.1:")
    told = [json.loads(line) for line in lines]
    assert {"at", "level", "logger", "message"} <= set.intersection(*(set(each) for each in told))
    said = " ".join(each["message"] for each in told)
    assert "events go to the spool" in said
    assert "Application startup complete." in said


def test_a_client_that_speaks_no_http_is_a_line_of_json(home: Home, tmp_path: Path) -> None:
    with (
        served(home.folder, home.url, workers=1, log=tmp_path / "log") as running,
        socket.create_connection(("127.0.0.1", running.port)) as connection,
    ):
        connection.sendall(f"HELLO {USER}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    text = (tmp_path / "log").read_text()
    assert all(json.loads(line) for line in text.splitlines()[1:])
    assert "Invalid HTTP request received." in text
    assert USER not in text


LOUD = """
import logging.config, sys, threading, warnings
from ab_platform.api import logs

logging.config.dictConfig(logs.configuration("info"))
logs.take_over()
warnings.warn("old ways")
thread = threading.Thread(target=lambda: 1 / 0, name="worker-7")
thread.start()
thread.join()
raise ValueError("nobody\\ncaught it")
"""


def test_warnings_and_errors_that_nobody_caught_are_lines_of_json_too() -> None:
    done = subprocess.run([sys.executable, "-c", LOUD], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    warning, thread, end = (json.loads(line) for line in done.stderr.splitlines())
    assert "old ways" in warning["message"]
    assert thread["message"] == "thread worker-7 ends"
    assert "ZeroDivisionError" in thread["exception"]
    assert end["level"] == "critical"
    assert "nobody\ncaught it" in end["exception"]
