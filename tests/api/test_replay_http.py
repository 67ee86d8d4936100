"""The replay through the real service gives what the replay in this process gives, to the digit."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from ab_platform import launching
from ab_platform.analysis import analyze
from ab_platform.replay import replay
from ab_platform.replay_http import replayed_over_http
from ab_platform.storage.store import Store
from ab_platform.training import snapshot
from ab_platform.viewer import Viewer
from tests.api.conftest import RUNNING, Home
from tests.api.running import served

NO_HURRY = 60_000.0
"""Milliseconds: popularity never stands in, however busy the machine is."""


def in_process(home: Home, store: Store) -> None:
    launch = store.experiment(RUNNING.key)
    snap = snapshot(store, RUNNING.data)
    server = launching.server(store, home.workshop, launch, snap)
    replay(store, server, snap.population(), viewer=Viewer(), seed=3, at=datetime.now(UTC))


def events(store: Store) -> list[tuple[object, ...]]:
    """Return what is stored of each event, but for how long its slate took, which only a service measures."""
    from sqlalchemy import select

    from ab_platform.storage.schema import events as table

    columns = [column for column in table.c if column.name != "latency_ms"]
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(table.c.event_id))]


def test_every_event_and_lift_is_the_same_as_in_process_and_a_second_replay_changes_nothing(
    home: Home, tmp_path: Path
) -> None:
    shutil.copytree(home.folder, tmp_path / "other")
    other = Home(tmp_path / "other")
    here, there = home.store(), other.store()
    in_process(home, here)
    with served(other.folder, other.url, log=tmp_path / "log", deadline_ms=NO_HURRY) as running:
        at = datetime.now(UTC)
        done = replayed_over_http(there, RUNNING.key, url=running.url, token=None, seed=3, at=at)
        after_one = events(there)
        again = replayed_over_http(there, RUNNING.key, url=running.url, token=None, seed=3, at=at)
    assert (again.counts.stored, again.counts.duplicates) == (0, done.counts.stored)
    assert events(there) == after_one
    assert done.counts.stored == len(events(here)) > 5_000
    assert events(there) == events(here)
    expected, found = (analyze(each, RUNNING.key).lifts for each in (here, there))
    table_2 = {lift.metric for lift in expected if lift.metric != "latency"}
    assert [lift for lift in found if lift.metric in table_2] == [lift for lift in expected if lift.metric in table_2]
