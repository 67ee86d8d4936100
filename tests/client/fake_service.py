"""A service of the tests: real HTTP on a free port; it checks and keeps what comes, and fails where it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from pydantic import ValidationError

from ab_platform.api.wire import AssignmentsAsked, EventsSent, SlateAsked
from ab_platform.events import event_id
from ab_platform.lineage import Launch
from ab_platform.serving import place
from tests.storage.made import launch

TOKEN = "abp_00000000_test"
TITLES = ("t0", "t1", "t2")
UNKNOWN_TITLE = "no-such-title"
SOON = 1.5  # seconds; longer than the tests' timeouts

Fault = Literal["away", "hang_after_storing", "broken", "nonsense"]


@dataclass
class FakeService:
    """What came, and what shall go wrong.

    Attributes:
        launches: experiments that run, or were stopped.
        faults: of the next requests for events, one each: a status, or how it fails.
        most: events of one request; more are refused with 413.
        retry_after: of refusals.
        stored: events by id, as they came first.
        exposures: as they came.
        seen: ids of each request for events, also of those that failed.
        headers: of the last request.
    """

    launches: list[Launch] = field(default_factory=lambda: [launch()])
    faults: deque[int | Fault] = field(default_factory=deque)
    most: int = 5_000
    retry_after: str | None = None
    token: str = TOKEN
    ready: bool = True
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    exposures: list[dict[str, Any]] = field(default_factory=list)
    seen: list[list[str | None]] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def launched(self, key: str) -> Launch | None:
        return next((each for each in self.launches if each.experiment.key == key), None)


@contextmanager
def serving(service: FakeService | None = None) -> Iterator[FakeService]:
    service = service or FakeService()
    handler = type("Handler", (_Handler,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    service: FakeService
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def do_GET(self) -> None:
        self.service.headers = dict(self.headers)
        if self.path == "/readyz":
            self._answer(200 if self.service.ready else 503, {"ready": self.service.ready})
        elif self.path == "/v1/experiments" and self._known():
            self._answer(200, {"experiments": [_shown(each) for each in self.service.launches]})
        elif self.path != "/v1/experiments":
            self._refuse(404, "not_found")

    def do_POST(self) -> None:
        self.service.headers = dict(self.headers)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        doers = {
            "/v1/assignments": self._assign,
            "/v1/recommendations": self._recommend,
            "/v1/events": self._take,
        }
        if not self.service.ready:
            self._refuse(503, "not_ready")
        elif self._known():
            try:
                doers[self.path](body)
            except ValidationError as error:
                self._refuse(422, "wrong_shape", str(error))

    def _known(self) -> bool:
        known = self.headers.get("Authorization") == f"Bearer {self.service.token}"
        if not known:
            self._refuse(401, "unauthorized")
        return known

    def _assign(self, body: bytes) -> None:
        asked = AssignmentsAsked.model_validate_json(body)
        keys = asked.experiments or [each.experiment.key for each in self.service.launches if each.state == "running"]
        found = []
        for user in asked.user_ids or [asked.user_id or ""]:
            for key in keys:
                launched = self.service.launched(key)
                if launched is None:
                    self._refuse(404, "unknown_experiment", f"experiment '{key}' is not launched")
                    return
                found.append(_assigned(launched, user))
        self._answer(200, {"assignments": found})

    def _recommend(self, body: bytes) -> None:
        asked = SlateAsked.model_validate_json(body)
        launched = self.service.launches[0]
        arm = _assigned(launched, asked.user_id)["arm"]
        at = asked.at or datetime.now(UTC)
        key = launched.experiment.key
        request_id = event_id(at, f"{key}/{asked.user_id}/{asked.surface}/{asked.title_id or ''}")
        slate = [
            {"position": n, "title_id": title, "title": None, "impression_id": str(event_id(at, f"{request_id}/{n}"))}
            for n, title in enumerate(TITLES)
        ]
        head = {"request_id": str(request_id), "experiment": key, "user_id": asked.user_id, "surface": asked.surface}
        made = {"at": at.isoformat(), "arm": arm, "served_by": arm or "control", "model_version": "artifact-1"}
        rest = {"propensity": arm and 0.5, "latency_ms": 1.5, "slate": slate}
        self._answer(200, head | made | rest)

    def _take(self, body: bytes) -> None:
        raw = json.loads(body)["events"]
        with self.service.lock:
            self.service.seen.append([item.get("event_id") for item in raw])
            fault = self.service.faults.popleft() if self.service.faults else None
        if fault == "broken":
            self.connection.close()
        elif fault == "nonsense":
            self._answer(200, {"welcome": "to the hotel's network"})
        elif isinstance(fault, int):
            self._refuse(fault, f"fault_{fault}")
        elif len(raw) > self.service.most:
            self._refuse(413, "too_large")
        else:
            EventsSent.model_validate_json(body)
            with self.service.lock:
                items = [self._keep(item) for item in raw]
            if fault == "hang_after_storing":
                time.sleep(SOON)
            self._answer(200, _summary(items))

    def _keep(self, item: dict[str, Any]) -> dict[str, Any]:
        if item["type"] == "exposure":
            self.service.exposures.append(item)
            return {"status": "stored"}
        if item["title_id"] == UNKNOWN_TITLE:
            return {"status": "rejected", "code": "unknown_title", "reason": f"title '{UNKNOWN_TITLE}' is unknown"}
        identity = item["event_id"]
        status = "duplicate" if identity in self.service.stored else "stored"
        self.service.stored.setdefault(identity, item)
        return {"status": status, "event_id": identity}

    def _refuse(self, status: int, code: str, detail: str = "as the test wants it") -> None:
        problem = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail}
        self._answer(status, problem | {"request_id": "r1"})

    def _answer(self, status: int, document: Mapping[str, object]) -> None:
        body = json.dumps(document).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status != 200 and self.service.retry_after is not None:
                self.send_header("Retry-After", self.service.retry_after)
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the client went away, as a test wanted it
            self.close_connection = True


def _assigned(launched: Launch, user_id: str) -> dict[str, Any]:
    key = launched.experiment.key
    if launched.state == "stopped":
        return {"user_id": user_id, "experiment": key, "arm": None, "control": None, "reason": "stopped"}
    index = place(launched, user_id).arm_index
    if index is None:
        return {"user_id": user_id, "experiment": key, "arm": None, "control": None, "reason": "not_in"}
    arm = launched.experiment.arms[index]
    return {"user_id": user_id, "experiment": key, "arm": arm.name, "control": arm.control, "reason": "split"}


def _shown(launched: Launch) -> dict[str, Any]:
    defined = launched.experiment
    return {
        "experiment": defined.key,
        "state": launched.state,
        "layer": defined.layer,
        "surfaces": list(defined.surfaces),
        "traffic": launched.traffic,
        "clock": "live",
        "starts_at": launched.starts_at.isoformat(),
        "ends_at": launched.ends_at.isoformat(),
        "arms": [
            {
                "arm": arm.name,
                "control": arm.control,
                "weight": arm.weight,
                "recommender": arm.recommender,
                "model_version": launched.artifacts[arm.name],
            }
            for arm in defined.arms
        ],
    }


def _summary(items: list[dict[str, Any]]) -> dict[str, object]:
    statuses = [item["status"] for item in items]
    counted = {"stored": statuses.count("stored"), "duplicates": statuses.count("duplicate"), "spooled": 0}
    return {**counted, "rejected": statuses.count("rejected"), "items": items}
