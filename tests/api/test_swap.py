"""Experiments come, grow and go while requests run: none of these fails, and the change counts within seconds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never

import httpx
import pytest
from sqlalchemy import text

from ab_platform import launching
from ab_platform.errors import StoreAwayError
from ab_platform.service.arms import Arms, Missing
from ab_platform.storage.store import Store
from ab_platform.training import snapshot
from tests.api.conftest import RUNNING, Home, Service
from tests.api.running import batch, served

SECOND = replace(RUNNING, key="second", salt="second", layer="another-layer")
USERS = [f"u{number:03d}" for number in range(400)]
SECONDS = 30.0


def launch(store: Store, home: Home) -> None:
    launching.launch(store, home.workshop, SECOND, snapshot(store, SECOND.data), at=datetime.now(UTC))


@dataclass
class Asking:
    """A client that asks all the time, and keeps what was not answered well.

    Attributes:
        url: of the service.
        failed: what went wrong.
        answered: how many requests did not.
    """

    url: str
    failed: list[str] = field(default_factory=list)
    answered: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        with httpx.Client(base_url=self.url, timeout=20.0) as client:
            while not self._over.is_set():
                user = USERS[number % len(USERS)]
                self._ask(client, "/v1/assignments", {"user_ids": USERS[:20]})
                self._ask(client, "/v1/recommendations", slate_for(user, RUNNING.key))
                self._ask(client, "/v1/events", {"events": batch(number, size=5)})
                number += 1

    def _ask(self, client: httpx.Client, path: str, body: object) -> None:
        reply = client.post(path, json=body)
        if reply.status_code == 200:
            self.answered += 1
        else:
            self.failed.append(reply.text)

    def stop(self) -> None:
        self._over.set()


def slate_for(user: str, experiment: str) -> dict[str, object]:
    return {"user_id": user, "surface": "home_card", "experiment": experiment}


@contextmanager
def asking(url: str) -> Iterator[list[Asking]]:
    clients = [Asking(url) for _ in range(2)]
    threads = [threading.Thread(target=each.run) for each in clients]
    for each in threads:
        each.start()
    try:
        yield clients
    finally:
        for one in clients:
            one.stop()
        for each in threads:
            each.join(30)


def wait_for(change: Callable[[], bool]) -> None:
    """Wait until a change is seen twenty times in a row, each by a new connection: so by all workers."""
    until = time.monotonic() + SECONDS
    seen = 0
    while seen < 20:
        assert time.monotonic() < until, "the change does not count"
        if change():
            seen += 1
        else:
            seen = 0
            time.sleep(0.1)


def test_an_experiment_comes_grows_and_goes_while_requests_run(home: Home, tmp_path: Path) -> None:
    store = home.store()
    with served(home.folder, home.url, workers=2, log=tmp_path / "log") as running, asking(running.url) as clients:

        def reasons() -> Counter[str]:
            asked = {"user_ids": USERS, "experiments": [SECOND.key]}
            reply = httpx.post(f"{running.url}/v1/assignments", json=asked, timeout=20.0)
            return Counter(one["reason"] for one in reply.json().get("assignments", ()))

        def slate() -> dict[str, Any]:
            reply = httpx.post(f"{running.url}/v1/recommendations", json=slate_for("u001", SECOND.key), timeout=20.0)
            told: dict[str, Any] = reply.json()
            return told

        assert reasons() == {}
        assert slate()["code"] == "unknown_experiment"
        launch(store, home)
        wait_for(lambda: reasons()["split"] == 400)
        assert slate()["experiment"] == SECOND.key
        store.ramp(SECOND.key, 0.3, at=datetime.now(UTC))
        wait_for(lambda: 60 < reasons()["split"] < 180)
        store.ramp(SECOND.key, 0.6, at=datetime.now(UTC))
        wait_for(lambda: 180 < reasons()["split"] < 300)
        store.stop(SECOND.key, at=datetime.now(UTC))
        wait_for(lambda: reasons()["stopped"] == 400)
        assert slate()["code"] == "unknown_experiment"
    store.close()
    assert [each for one in clients for each in one.failed] == []
    assert all(one.answered > 20 for one in clients)


def test_growing_moves_nobody_to_another_arm(service: Service) -> None:
    def arms() -> dict[str, str]:
        told = service.client.post("/v1/assignments", json={"user_ids": USERS}).json()["assignments"]
        return {one["user_id"]: one["arm"] for one in told if one["arm"] is not None}

    before: dict[str, str] = {}
    for traffic in (0.1, 0.4, 0.7, 1.0):
        service.store.ramp(RUNNING.key, traffic, at=datetime.now(UTC))
        service.worker.refresh()
        now = arms()
        assert before.items() <= now.items()
        before = now
    assert len(before) == 400


def test_two_experiments_on_a_surface_have_to_be_named(service: Service) -> None:
    body = {"user_id": "u001", "surface": "home_card"}
    assert service.client.post("/v1/recommendations", json=body).json()["experiment"] == RUNNING.key
    launch(service.store, service.home)
    service.worker.refresh()
    refused = service.client.post("/v1/recommendations", json=body)
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_experiment")
    assert "small-run" in refused.json()["detail"]
    assert "second" in refused.json()["detail"]
    for key in (RUNNING.key, SECOND.key):
        assert service.client.post("/v1/recommendations", json=slate_for("u001", key)).json()["experiment"] == key
    service.store.stop(RUNNING.key, at=datetime.now(UTC))
    service.worker.refresh()
    assert service.client.post("/v1/recommendations", json=body).json()["experiment"] == SECOND.key


def test_a_launch_without_a_frozen_fallback_gets_one_once_its_data_can_be_read(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Never:
        raise StoreAwayError("the database does not answer")

    store = home.store()
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE experiments SET fallback = NULL"))
    arms = Arms(store, home.workshop, home.folder / "roster.json")
    with monkeypatch.context() as patch:
        patch.setattr("ab_platform.service.arms.snapshot", away)
        arms.refresh()
        assert isinstance(arms.server(RUNNING.key).fallback, Missing)
    arms.refresh()
    found = arms.server(RUNNING.key)
    assert found.fallback.name == "popularity"
    arms.refresh()
    assert arms.server(RUNNING.key) is found
