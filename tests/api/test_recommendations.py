"""Slates over HTTP: those of the arms in process, in time, without what was seen, on whatever worker it was seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from ab_platform import launching
from ab_platform.api.app import Web
from ab_platform.events import event_id
from ab_platform.serving import Request, Server
from ab_platform.training import snapshot
from tests.api.conftest import RUNNING, Home, Service, start
from tests.api.running import Running, served

PATH = "/v1/recommendations"
USERS = [f"u{number:03d}" for number in range(400)]
TODAY = datetime.combine(datetime.now(UTC).date(), datetime.min.time(), UTC)


def in_process(service: Service) -> Server:
    """Return the same experiment, served in process as a replay does."""
    launch = service.store.experiment(RUNNING.key)
    return launching.server(service.store, service.home.workshop, launch, snapshot(service.store, RUNNING.data))


def ask(client: httpx.Client, user: str, surface: str = "home_card", **more: object) -> dict[str, Any]:
    reply = client.post(PATH, json={"user_id": user, "surface": surface, **more})
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def titles(told: dict[str, Any]) -> tuple[str, ...]:
    return tuple(place["title_id"] for place in told["slate"])


def watch(user: str, title: str, at: datetime) -> dict[str, object]:
    return {
        "type": "watch",
        "experiment": RUNNING.key,
        "user_id": user,
        "surface": "home_card",
        "title_id": title,
        "at": at.isoformat(),
        "impression_id": str(event_id(at, f"{user}/{title}")),
        "watch_seconds": 60.0,
    }


@pytest.mark.parametrize(("surface", "title_id"), [("home_card", None), ("movie_card", "t03")])
def test_every_user_gets_the_slate_that_the_arm_makes_in_process(
    service: Service, surface: Any, title_id: str | None
) -> None:
    server = in_process(service)
    for number, user in enumerate(USERS):
        at = TODAY + timedelta(milliseconds=number)
        page = {} if title_id is None else {"title_id": title_id}
        told = ask(service.client, user, surface, at=at.isoformat(), **page)
        slate = server.recommend(user, surface, at=at, title_id=title_id)
        assert titles(told) == slate.title_ids
        assert UUID(told["request_id"]) == slate.slate_id
        assert (told["arm"], told["served_by"]) == (slate.arm, slate.served_by)
        assert told["model_version"] == server.launch.artifacts[slate.served_by]
        assert told["propensity"] == 0.5
        assert [place["position"] for place in told["slate"]] == list(range(RUNNING.slate_size))
        assert [UUID(place["impression_id"]) for place in told["slate"]] == [
            event_id(at, f"{slate.slate_id}/{position}") for position in range(RUNNING.slate_size)
        ]


def test_what_was_seen_never_comes_back_nor_the_title_of_the_page(service: Service) -> None:
    histories = snapshot(service.store, RUNNING.data).population().histories
    for user in USERS[::8]:
        seen = set(histories[user])
        assert seen
        assert seen.isdisjoint(titles(ask(service.client, user)))
        page = titles(ask(service.client, user))[0]
        assert (seen | {page}).isdisjoint(titles(ask(service.client, user, "movie_card", title_id=page)))


def test_someone_who_was_never_seen_gets_a_slate(service: Service) -> None:
    told = ask(service.client, "a stranger")
    assert len(told["slate"]) == RUNNING.slate_size
    assert told["served_by"] == told["arm"]


def test_a_fresh_watch_counts_at_the_next_request(service: Service) -> None:
    for user in USERS[:10]:
        now = datetime.now(UTC)
        best = titles(ask(service.client, user))[0]
        reply = service.client.post("/v1/events", json={"events": [watch(user, best, now)]})
        assert reply.json()["stored"] == 1
        assert best not in titles(ask(service.client, user))


def test_a_fresh_watch_counts_on_another_worker_too(home: Home, tmp_path: Path) -> None:
    with served(home.folder, home.url, workers=2, log=tmp_path / "log") as running, ExitStack() as opened:
        one, other = (opened.enter_context(closing(each)) for each in on_both_workers(running))
        for user in USERS[:20]:
            best = titles(ask(one, user))[0]
            assert titles(ask(other, user))[0] == best  # now both remember the history
            reply = one.post("/v1/events", json={"events": [watch(user, best, datetime.now(UTC))]})
            assert reply.json()["stored"] == 1
            assert best not in titles(ask(other, user))
            assert best not in titles(ask(one, user))


def on_both_workers(running: Running) -> list[httpx.Client]:
    """Return two clients whose connections are open, each to another worker."""
    found: dict[int, httpx.Client] = {}
    for _ in range(500):
        client = httpx.Client(base_url=running.url, timeout=20.0)
        client.get("/healthz")
        worker = next(each.pid for each in running.workers() if serves(each, client))
        if worker in found:
            client.close()
        else:
            found[worker] = client
        if len(found) == 2:
            return list(found.values())
    raise AssertionError("one worker takes every connection")


def serves(worker: psutil.Process, client: httpx.Client) -> bool:
    """Tell whether a worker has the other end of a client's connection."""
    [connection] = client._transport._pool.connections  # type: ignore[attr-defined]
    ours = connection._connection._network_stream.get_extra_info("client_addr")[1]
    return any(each.raddr and each.raddr.port == ours for each in worker.net_connections("tcp"))


def test_users_outside_get_the_control_and_are_in_no_arm(service: Service) -> None:
    service.store.ramp(RUNNING.key, 0.25, at=datetime.now(UTC))
    service.worker.refresh()
    server = in_process(service)
    asked = [Request(user, "home_card", TODAY) for user in USERS]
    outside = [each for each in asked if server.placement(each.user_id).arm_index is None]
    assert 240 < len(outside) < 350
    for request in outside[:50]:
        told = ask(service.client, request.user_id, at=request.at.isoformat())
        assert (told["arm"], told["propensity"], told["served_by"]) == (None, None, "multi_vae")
        assert told["model_version"] == server.launch.artifacts["multi_vae"]
        assert titles(told) == server.slates(None, [request])[0].title_ids


def test_a_repetition_with_the_same_moment_is_the_same(service: Service) -> None:
    at = datetime.now(UTC).isoformat()
    first, second = (ask(service.client, "u007", at=at) for _ in range(2))
    assert {**first, "latency_ms": 0} == {**second, "latency_ms": 0}
    assert first["latency_ms"] > 0
    later = ask(service.client, "u007", at=(datetime.fromisoformat(at) + timedelta(milliseconds=1)).isoformat())
    assert later["request_id"] != first["request_id"]


@pytest.fixture
def hurried(home: Home) -> Iterator[Service]:
    """A service that waits a tenth of a second for an arm."""
    yield from start(home, Web(open_to_all=True), deadline_ms=100.0)


def test_an_arm_that_takes_too_long_is_stood_in_for_and_counted(
    hurried: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    let = threading.Event()
    scores = arm(hurried, "pia").score

    def slowly(histories: Any) -> Any:
        let.wait(20)
        return scores(histories)

    monkeypatch.setattr(arm(hurried, "pia"), "score", slowly)
    try:
        told = ask(hurried.client, of_arm(hurried, "pia"))
    finally:
        let.set()
    assert (told["arm"], told["served_by"], told["model_version"]) == ("pia", "popularity", None)
    assert len(told["slate"]) == RUNNING.slate_size
    assert told["latency_ms"] < 5_000
    assert slates(hurried, "pia", "deadline") == 1
    assert slates(hurried, "pia", "failed") == 0


def test_an_arm_that_fails_is_stood_in_for_and_counted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(histories: object) -> None:
        raise ValueError("not a matrix that an arm can read")

    monkeypatch.setattr(arm(service, "pia"), "score", fail)
    told = ask(service.client, of_arm(service, "pia"))
    assert (told["arm"], told["served_by"], told["model_version"]) == ("pia", "popularity", None)
    assert slates(service, "pia", "failed") == 1
    assert ask(service.client, of_arm(service, "multi_vae"))["served_by"] == "multi_vae"
    assert slates(service, "multi_vae", "arm") == 1


def arm(service: Service, name: str) -> Any:
    """Return the recommender that the service scores with."""
    return service.worker.arms.server(RUNNING.key)._recommenders[name]


def of_arm(service: Service, name: str) -> str:
    """Return a user of an arm."""
    told = service.client.post("/v1/assignments", json={"user_ids": USERS}).json()["assignments"]
    return str(next(one["user_id"] for one in told if one["arm"] == name))


def slates(service: Service, name: str, made: str) -> float:
    """Return how many slates the meters tell of."""
    wanted = f'abp_slates_total{{arm="{name}",experiment="{RUNNING.key}",made="{made}"}} '
    lines = service.client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(wanted)).removeprefix(wanted))


def test_a_page_needs_its_title_and_a_home_takes_none(service: Service) -> None:
    for body in ({"surface": "movie_card"}, {"surface": "home_card", "title_id": "t01"}):
        reply = service.client.post(PATH, json={"user_id": "u001", **body})
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid")
        assert "movie_card needs one, home_card takes none" in reply.json()["detail"]


def test_a_slate_is_of_a_moment_since_the_start_up_to_now(service: Service) -> None:
    now = datetime.now(UTC)
    for at, word in ((now + timedelta(hours=1), "must be up to"), (TODAY - timedelta(days=1), "starts at")):
        reply = service.client.post(PATH, json={"user_id": "u001", "surface": "home_card", "at": at.isoformat()})
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid")
        assert word in reply.json()["detail"]


def test_asking_records_nothing(service: Service) -> None:
    ask(service.client, "u001")
    assert service.store.raw_events(RUNNING.key).stored == 0
    assert list(service.store.exposed_arms(RUNNING.key)) in ([], [[]])
