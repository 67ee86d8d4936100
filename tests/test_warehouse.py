"""What reads the users of an analysis is chosen by a setting, and gets the days that changed first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from ab_platform.analysis import analyze
from ab_platform.events import event_id
from ab_platform.storage.archive import Archive
from ab_platform.storage.store import Store
from ab_platform.warehouse import user_reads
from tests.analysis.made import KEY, START, definition, launched, visits

AT = START + timedelta(days=20)


def test_by_default_it_is_the_database(store: Store, tmp_path: Path) -> None:
    assert user_reads(store, warehouse="database", archive=tmp_path / "archive", at=AT) is store
    assert not (tmp_path / "archive").exists()


def test_days_that_changed_are_archived_before_users_are_read(store: Store, tmp_path: Path) -> None:
    events = visits(launched(store, definition()), 40)
    store.record(events)
    reads = user_reads(store, warehouse="duckdb", archive=tmp_path / "archive", at=AT)
    assert analyze(store, KEY, reads=reads) == analyze(store, KEY)
    assert Archive(tmp_path / "archive").days()
    late = [replace(event, event_id=event_id(event.at, f"{event.event_id}/late")) for event in events[:30]]
    store.record(late)
    found = analyze(store, KEY, reads=reads)
    assert found == analyze(store, KEY)
    assert reads.day_counts(KEY, AT.date()) == store.day_counts(KEY, AT.date())
