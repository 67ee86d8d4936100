"""What was acknowledged is never lost and never there twice, whatever fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from ab_platform import launching
from ab_platform.events import Impression, event_id
from ab_platform.service.spool import Spool
from ab_platform.storage.connection import connect
from ab_platform.storage.store import open_store
from ab_platform.training import snapshot
from tests.api.conftest import RUNNING, Home
from tests.api.running import (
    JSON,
    acknowledged,
    batch,
    free_port,
    load,
    serve,
    served,
    wait_ready,
    wait_until_drained,
)
from tests.conftest import postgres
from tests.small_world import fill


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, home: Home) -> str:
    """The address of a database in which the experiment runs."""
    if request.param == "sqlite":
        return home.url
    url: str = request.getfixturevalue("postgres_url")
    return with_experiment(url, home)


def with_experiment(url: str, home: Home) -> str:
    """Launch the experiment in another database; its arms are there already."""
    store = open_store(url, migrate=True)
    fill(store)
    launching.launch(store, home.workshop, RUNNING, snapshot(store, RUNNING.data), at=datetime.now(UTC))
    store.close()
    return url


def stored(url: str) -> list[UUID]:
    """Return the ids of all events, one for each row."""
    with connect(url).connect() as connection:
        return [UUID(str(each)) for each in connection.execute(text("SELECT event_id FROM events")).scalars()]


def assert_nothing_is_lost_or_twice(url: str, promised: set[UUID]) -> None:
    rows = stored(url)
    assert len(rows) == len(set(rows)), "stored twice"
    assert promised - set(rows) == set(), "acknowledged and lost"
    assert promised, "nothing was acknowledged"


def test_a_worker_that_is_killed_under_load_loses_nothing(database: str, home: Home, tmp_path: Path) -> None:
    with served(home.folder, database, log=tmp_path / "log") as running, load(running.url) as senders:
        for _ in range(3):
            time.sleep(1.5)
            running.kill_worker()
        time.sleep(2.0)
    assert sum(each.failures for each in senders) > 0
    assert_nothing_is_lost_or_twice(database, acknowledged(senders))


def test_the_whole_service_killed_under_load_loses_nothing(database: str, home: Home, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    running = wait_ready(serve(home.folder, database, port=port, log=log))
    with load(running.url) as senders:
        for _ in range(2):
            time.sleep(1.5)
            running.kill_all()
            running = wait_ready(serve(home.folder, database, port=port, log=log))
        time.sleep(1.0)
    wait_until_drained(running)
    running.stop()
    assert_nothing_is_lost_or_twice(database, acknowledged(senders))


def test_the_same_batch_from_four_clients_at_once_is_stored_once(database: str, home: Home, tmp_path: Path) -> None:
    with served(home.folder, database, log=tmp_path / "log") as running:
        for number in range(5):
            body = json.dumps({"events": batch(number, size=200)})

            def send(_: int, body: str = body) -> dict[str, int]:
                reply: dict[str, int] = httpx.post(f"{running.url}/v1/events", content=body, headers=JSON).json()
                return reply

            with ThreadPoolExecutor(4) as pool:
                told = list(pool.map(send, range(4)))
            assert sum(each["stored"] for each in told) == 200
            assert sum(each["duplicates"] for each in told) == 600
    assert len(stored(database)) == 1_000


@pytest.fixture
def own_postgres(home: Home) -> Iterator[tuple[Any, str]]:
    """A PostgreSQL server of the test's own, to stop and start, and the address of the experiment's database there."""
    with postgres() as server:
        yield server, with_experiment(server.get_uri(), home)


def test_a_slow_database_sends_events_to_the_spool_and_they_come_back(
    home: Home, postgres_url: str, tmp_path: Path
) -> None:
    url = with_experiment(postgres_url, home)
    with served(home.folder, url, log=tmp_path / "log") as running, load(running.url) as senders:
        time.sleep(1.0)
        with connect(url).begin() as connection:
            connection.execute(text("LOCK TABLE exposures IN ACCESS EXCLUSIVE MODE"))
            time.sleep(4.0)
        time.sleep(1.0)
    with served(home.folder, url, log=tmp_path / "log") as running:
        wait_until_drained(running)
    assert sum(each.statuses.get("spooled", 0) for each in senders) > 0
    assert_nothing_is_lost_or_twice(url, acknowledged(senders))


def test_a_database_that_is_stopped_and_started_loses_nothing(
    home: Home, own_postgres: tuple[Any, str], tmp_path: Path
) -> None:
    server, url = own_postgres
    with served(home.folder, url, log=tmp_path / "log") as running:
        with load(running.url) as senders:
            time.sleep(1.0)
            server.stop()
            time.sleep(2.0)
            assert httpx.post(f"{running.url}/v1/assignments", json={"user_id": "u001"}).status_code == 200
            server.start()
            time.sleep(2.0)
        wait_until_drained(running)
    assert sum(each.statuses.get("spooled", 0) for each in senders) > 0
    assert sum(each.statuses.get("stored", 0) for each in senders) > 0
    assert_nothing_is_lost_or_twice(url, acknowledged(senders))


def test_a_service_that_starts_while_the_database_is_away_assigns_and_takes_events(
    home: Home, own_postgres: tuple[Any, str], tmp_path: Path
) -> None:
    server, url = own_postgres
    with served(home.folder, url, log=tmp_path / "log") as running:
        before = httpx.post(f"{running.url}/v1/assignments", json={"user_id": "u001"}).json()
    server.stop()
    with served(home.folder, url, log=tmp_path / "log") as running:
        assert httpx.post(f"{running.url}/v1/assignments", json={"user_id": "u001"}).json() == before
        slate = {"user_id": "u001", "surface": "home_card"}
        assert httpx.post(f"{running.url}/v1/recommendations", json=slate).json()["served_by"] != "popularity"
        told = httpx.post(f"{running.url}/v1/events", json={"events": batch(0)}).json()
        assert told["spooled"] == 50
        server.start()
        wait_until_drained(running)
    assert len(stored(url)) == 50


def test_a_full_disk_says_when_to_come_back_and_keeps_what_it_took(
    home: Home, own_postgres: tuple[Any, str], tmp_path: Path
) -> None:
    server, url = own_postgres
    disk = home.folder / "service"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here; it takes root")
    try:
        with served(home.folder, url, workers=1, log=tmp_path / "log") as running:
            server.stop()
            replies = [httpx.post(f"{running.url}/v1/events", json={"events": batch(n)}, timeout=20) for n in range(99)]
            taken = [number for number, reply in enumerate(replies) if reply.status_code == 200]
            refused = [reply for reply in replies if reply.status_code != 200]
            assert taken
            assert {reply.status_code for reply in refused} == {503}
            assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
            server.start()
            wait_until_drained(running)
            again = httpx.post(f"{running.url}/v1/events", json={"events": batch(98)}).json()
            assert again["stored"] == 50
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    promised = {UUID(str(event["event_id"])) for number in [*taken, 98] for event in batch(number)}
    assert_nothing_is_lost_or_twice(url, promised)


SPOOLED = int(os.environ.get("ABP_SPOOLED_EVENTS", "200000"))
"""Whole thousands; a million take some two minutes."""


@pytest.mark.timeout(900)
def test_a_restart_with_many_events_in_the_spool_stores_them_all(home: Home, tmp_path: Path) -> None:
    spool = Spool(home.folder / "service" / "spool")
    for number in range(SPOOLED // 1_000):
        spool.append(made_events(number))
    spool.close()
    with served(home.folder, home.url, log=tmp_path / "log") as running:
        assert httpx.post(f"{running.url}/v1/assignments", json={"user_id": "u001"}).status_code == 200
        wait_until_drained(running, seconds=200.0)
    rows = stored(home.url)
    assert len(rows) == len(set(rows)) == SPOOLED


def made_events(number: int) -> list[Impression]:
    """Make a thousand impressions that the rules would let in."""
    midnight = datetime.combine(datetime.now(UTC).date(), datetime.min.time(), UTC)
    at = midnight + timedelta(milliseconds=number)
    slate = event_id(at, str(number))
    return [
        Impression(
            event_id(at, f"{number}/{place}"),
            RUNNING.key,
            f"u{place % 400:03d}",
            "pia",
            "home_card",
            "t01",
            at,
            slate,
            place % 10,
            "pia",
        )
        for place in range(1_000)
    ]


def test_an_arm_whose_file_is_missing_or_changed_is_served_by_popularity(home: Home, tmp_path: Path) -> None:
    store = home.store()
    artifacts = store.experiment(RUNNING.key).artifacts
    store.close()
    shutil.rmtree(home.folder / "artifacts" / artifacts["pia"])
    weights = next((home.folder / "artifacts" / artifacts["multi_vae"]).glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with served(home.folder, home.url, workers=1, log=tmp_path / "log") as running:
        assert running.ready()["arms_missing"] == ["small-run/multi_vae", "small-run/pia"]
        for number in range(20):
            slate = httpx.post(
                f"{running.url}/v1/recommendations", json={"user_id": f"u{number:03d}", "surface": "home_card"}
            ).json()
            assert slate["served_by"] == "popularity"
            assert slate["arm"] in artifacts
            assert len(slate["slate"]) == RUNNING.slate_size
    log = (tmp_path / "log").read_text()
    assert "popularity serves for artifact" in log
