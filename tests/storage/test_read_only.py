"""A store that is opened for reading only is refused every write by the database itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from ab_platform.errors import StoreError
from ab_platform.lineage import Change
from ab_platform.storage.connection import reading
from ab_platform.storage.store import Store, open_store
from tests.worlds import launch, register

AT = datetime(2025, 3, 3, tzinfo=UTC)


@pytest.fixture
def looked_at(store: Store, url: str) -> Iterator[Store]:
    """A store with one experiment, opened for reading."""
    register(store, launch())
    opened = open_store(url, migrate=False, read_only=True)
    yield opened
    opened.close()


def test_what_is_stored_can_be_read(store: Store, looked_at: Store) -> None:
    assert looked_at.experiments() == store.experiments()
    assert looked_at.changes(launch().experiment.key) == store.changes(launch().experiment.key)


def test_nothing_can_be_written_through_the_store(store: Store, looked_at: Store) -> None:
    key = launch().experiment.key
    before = store.changes(key)
    with pytest.raises(StoreError, match="may not be written to"):
        looked_at.stop(key, at=store.experiment(key).ends_at)
    with pytest.raises(StoreError, match="may not be written to"):
        looked_at.note(Change(key, AT, "stop", None, {}, None))
    assert store.experiment(key).state == "running"
    assert store.changes(key) == before


def test_nothing_can_be_written_by_what_looks_like_a_read(looked_at: Store) -> None:
    with pytest.raises(StoreError, match="may not be written to"), reading(looked_at.engine) as connection:
        connection.execute(text("DELETE FROM experiment_changes"))
    assert looked_at.changes(launch().experiment.key)


def test_it_sees_what_others_write_meanwhile(store: Store, looked_at: Store) -> None:
    key = launch().experiment.key
    store.ramp(key, 0.5, at=AT)
    assert looked_at.experiment(key).traffic == 0.5


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path / 'nowhere' / 'abp.db'}", migrate=False, read_only=True)
    assert list(tmp_path.iterdir()) == []
