"""What the service tells Prometheus: under good names, right, and together over workers that live and die."""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from ab_platform.api.app import Web
from ab_platform.api.meters_folder import meters_folder
from ab_platform.api.tally import SECONDS, Times
from ab_platform.storage.connection import connect, writing
from tests.api.conftest import RUNNING, Home, Service, start
from tests.api.running import Running, batch, served
from tests.api.scraped import Scraped, scraped, wait_for


def scrape(service: Service) -> Scraped:
    return scraped(service.client.get("/metrics").text)


def scrape_url(running: Running) -> Scraped:
    return scraped(httpx.get(f"{running.url}/metrics", timeout=20.0).text)


def slate(user: str) -> dict[str, object]:
    return {"user_id": user, "surface": "home_card"}


@given(st.lists(st.floats(0.0, 100.0)))
def test_times_that_were_added_up_are_told_as_if_each_had_been_observed(seconds: list[float]) -> None:
    told, registries = Times(SECONDS), (CollectorRegistry(), CollectorRegistry())
    at_once, each = (Histogram("taken_seconds", "Told.", buckets=SECONDS, registry=one) for one in registries)
    for one in seconds:
        told.add(one)
        each.observe(one)
    told.add_to(at_once)
    assert told.count == len(seconds)
    first, second = (scraped(generate_latest(one).decode()).samples for one in registries)
    assert {name: value for name, value in first.items() if "created" not in name[0]} == pytest.approx(
        {name: value for name, value in second.items() if "created" not in name[0]}
    )


def test_names_and_helps_are_as_prometheus_wants_them(service: Service) -> None:
    service.client.post("/v1/recommendations", json=slate("u001"))
    found = scrape(service)
    ours = {name: kind for name, kind in found.kinds.items() if not name.endswith("_created")}
    assert len(ours) > 20
    for name, kind in ours.items():
        assert re.fullmatch(r"(abp|process)(_[a-z]+)+", name), name
        assert re.fullmatch(r"[A-Z0-9].*\.", found.told[name]), name
        assert kind in {"counter", "gauge", "histogram"}, name
        if kind == "histogram":
            assert name.endswith("_seconds"), name
        if kind == "counter":  # the library adds `_total` to what is told
            assert any(each == f"{name}_total" for each in found.names), name
        assert not re.search(r"(_ms|_minutes|_kb|_mb)$", name), name


def test_replies_are_counted_and_timed_by_route_and_status(service: Service) -> None:
    for user in ("u001", "u002"):
        service.client.post("/v1/recommendations", json=slate(user))
    service.client.post("/v1/recommendations", json={})
    service.client.get("/v1/experiments")
    service.client.get("/nothing")
    service.client.put("/v1/events")
    found = scrape(service)
    requests = partial(found.value, "abp_requests_total")
    assert requests(route="/v1/recommendations", status="200") == 2
    assert requests(route="/v1/recommendations", status="422") == 1
    assert requests(route="/v1/experiments", status="200") == 1
    assert requests(route="none", status="404") == 1
    assert requests(route="none", status="405") == 1
    assert found.value("abp_request_seconds_count", route="/v1/recommendations") == 3
    assert 0.0 < found.value("abp_request_seconds_sum", route="/v1/recommendations") < 30.0
    assert found.value("abp_request_seconds_bucket", route="/v1/recommendations", le="+Inf") == 3


def test_slates_are_counted_and_timed_by_arm_and_never_begin_unseen(service: Service) -> None:
    before = scrape(service)
    for arm in ("multi_vae", "pia", "none"):
        for made in ("arm", "deadline", "failed"):
            key = frozenset({"experiment": RUNNING.key, "arm": arm, "made": made}.items())
            assert before.samples["abp_slates_total", key] == 0.0
    arms = [service.client.post("/v1/recommendations", json=slate(f"u{n:03d}")).json()["arm"] for n in range(20)]
    service.store.ramp(RUNNING.key, 0.0001, at=datetime.now(UTC))
    service.worker.refresh()
    service.client.post("/v1/recommendations", json=slate("u001"))
    found = scrape(service)
    for arm, count in (("multi_vae", arms.count("multi_vae")), ("pia", arms.count("pia")), ("none", 1)):
        assert found.value("abp_slates_total", experiment=RUNNING.key, arm=arm, made="arm") == count
        assert found.value("abp_slate_seconds_count", experiment=RUNNING.key, arm=arm) == count


def test_events_are_counted_by_what_became_of_them(service: Service) -> None:
    events = batch(0, size=10)
    click = {**events[0], "type": "click", "impression_id": events[0]["event_id"], "event_id": None}
    del click["request_id"], click["position"]
    service.client.post("/v1/events", json={"events": [*events, {**events[0], "title_id": "x"}, {"type": "?"}, click]})
    service.client.post("/v1/events", json={"events": events[:4]})
    found = scrape(service)
    counted = partial(found.value, "abp_events_total")
    assert counted(type="impression", status="stored") == 10
    assert counted(type="impression", status="duplicate") == 4
    assert counted(type="impression", status="rejected") == 1
    assert counted(type="click", status="stored") == 1
    assert counted(type="invalid", status="rejected") == 1
    assert found.value("abp_events_rejected_total", code="unknown_title") == 1
    assert found.value("abp_events_rejected_total", code="invalid") == 1
    assert found.value("abp_event_lag_seconds_count") == 2
    assert found.value("abp_committed_events_total") == 15
    assert found.value("abp_commit_seconds_count") == 2
    assert found.value("abp_commit_seconds_sum") > 0.0


def test_how_a_worker_stands_is_told_from_its_start_on(service: Service) -> None:
    found = scrape(service)
    assert found.value("abp_experiments_running") == 1
    assert found.value("abp_arms_missing") == found.value("abp_database_away") == 0
    assert found.value("abp_spooled_events") == found.value("abp_spool_bytes") == 0
    assert found.value("abp_spool_limit_bytes") == service.worker.options.spool_bytes
    assert found.value("abp_roster_read_timestamp_seconds") == pytest.approx(datetime.now(UTC).timestamp(), abs=60.0)
    assert found.value("process_resident_memory_bytes") > 10**7
    assert found.value("process_cpu_seconds_total") > 0.0
    assert found.labels("abp_build_info", "version")


def test_a_scrape_needs_a_token_that_may_read(guarded: Service) -> None:
    assert guarded.client.get("/metrics").status_code == 401
    headers = {"Authorization": f"Bearer {guarded.token('read')}"}
    reply = guarded.client.get("/metrics", headers=headers)
    assert reply.headers["content-type"].startswith("text/plain")
    assert "abp_build_info" in reply.text


@pytest.fixture
def running(home: Home, tmp_path: Path) -> Iterator[Running]:
    """A service of two workers."""
    with served(home.folder, home.url, workers=2, log=tmp_path / "log") as made:
        yield made


def test_workers_add_up_and_those_that_died_stay_counted_but_not_alive(running: Running) -> None:
    for number in range(40):  # each by a new connection
        assert httpx.post(f"{running.url}/v1/events", json={"events": batch(number, size=5)}).json()["stored"] == 5

    def told(found: Scraped) -> bool:
        return found.value("abp_events_total", type="impression", status="stored") == 200

    def alive(found: Scraped) -> bool:
        workers = {str(each.pid) for each in running.workers()}
        return found.labels("process_resident_memory_bytes", "pid") == workers and len(workers) == 2

    first = wait_for(lambda: scrape_url(running), lambda found: told(found) and alive(found))
    assert first.value("abp_requests_total", route="/v1/events", status="200") == 40
    assert first.value("abp_committed_events_total") == 200
    before = {each.pid for each in running.workers()}
    running.kill_worker()
    second = wait_for(lambda: scrape_url(running), lambda found: alive(found) and running_anew(running, before))
    assert told(second)
    assert second.value("process_cpu_seconds_total") >= first.value("process_cpu_seconds_total")
    assert second.value("abp_roster_read_timestamp_seconds") > 1e9
    assert second.value("abp_database_away") == 0


def running_anew(running: Running, before: set[int]) -> bool:
    now = {each.pid for each in running.workers()}
    return len(now) == 2 and now != before


def test_a_database_that_is_away_and_the_spool_are_told(running: Running, home: Home) -> None:
    with writing(connect(home.url)):  # nobody else writes meanwhile
        told = httpx.post(f"{running.url}/v1/events", json={"events": batch(0)}, timeout=20.0).json()
        assert told["spooled"] == 50
        found = wait_for(lambda: scrape_url(running), lambda each: each.value("abp_spooled_events") == 50)
        assert found.value("abp_spool_bytes") > 1_000
    found = wait_for(lambda: scrape_url(running), lambda each: each.value("abp_spooled_events") == 0)
    found = wait_for(lambda: scrape_url(running), lambda each: each.value("abp_database_away") == 0)
    assert found.value("abp_events_total", type="impression", status="spooled") == 50
    assert found.value("abp_committed_events_total") == 50


def test_each_service_has_a_folder_of_its_own_and_removes_it(tmp_path: Path) -> None:
    with meters_folder(tmp_path) as one, meters_folder(tmp_path) as other:
        assert one != other
        (one / "counter_1.db").write_bytes(b"")
        assert one.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def _make_and_die(place: Path) -> None:
    with meters_folder(place):
        os._exit(1)  # as if killed: nothing is cleaned up


def test_the_folder_of_a_service_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = multiprocessing.get_context("spawn").Process(target=_make_and_die, args=(tmp_path,))
    killed.start()
    killed.join(60)
    assert len(list(tmp_path.iterdir())) == 1
    with meters_folder(tmp_path) as made:
        assert list(tmp_path.iterdir()) == [made]


def test_a_service_that_offers_to_other_origins_counts_too(home: Home) -> None:
    for service in start(home, Web(open_to_all=True, origins=("https://tv.example",))):
        service.client.post("/v1/assignments", json={"user_id": "u001"})
        assert scrape(service).value("abp_requests_total", route="/v1/assignments", status="200") == 1
