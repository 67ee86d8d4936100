"""Every answer that grows from day to day is the database's, to the digit, and only new days are read for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from ab_platform.analysis.readout import population_of
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.store import Store, open_store
from ab_platform.storage.warehouse import ArchiveReads
from ab_platform.storage.warehouse.daily import grows
from ab_platform.storage.warehouse.duck import Duck
from ab_platform.storage.warehouse.numbered import NumberedFile
from ab_platform.storage.warehouse.questions import ByAge, Cells, DayCounts, ExposedByDay, FirstExposures, Question
from tests.analysis.made import KEY, START
from tests.analysis.test_warehouse import RULES, world
from tests.storage.warehouse.exported import FAMILIES, exported
from tests.storage.warehouse.test_running import late

FIRST = START.date()
DAYS = [FIRST + timedelta(days=day) for day in range(6)]
RETURNS = (
    *FAMILIES,
    (PerUser("returned_1"), PerUser("due_1")),
    (PerUser("returned_3"), PerUser("due_3"), PerUser("reciprocal_ranks")),
)
AGES = ((PerUser("watch_seconds"), PerUser("clicked")), (PerUser("impressions"), PerUser("reciprocal_ranks")))
AGE = PerUser("age", "attribute")


class NoEngine(Duck):
    """DuckDB that may not be asked anything."""

    def answer(self, query: str, sources: object) -> pa.Table:
        raise AssertionError(query)


@pytest.fixture(params=[True, False], ids=["before", "beside"])
def store(sqlite_url: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    opened = open_store(sqlite_url, migrate=False)
    world(opened, RULES["before"], ends_before=request.param)
    yield opened
    opened.close()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is read of files from now on, of user-days."""
    found: list[str] = []
    own = NumberedFile._read

    def noted(file: NumberedFile, columns: list[str]) -> pa.Table:
        found.append(" ".join(columns))
        return own(file, columns)

    monkeypatch.setattr(NumberedFile, "_read", noted)
    return found


def opened(store: Store, folder: Path) -> ArchiveReads:
    return ArchiveReads(store, exported(store, folder), NoEngine(folder.parent))


def require_same(store: Store, reads: ArchiveReads, day: date) -> None:
    who = population_of(store, store.experiment(KEY), day)
    assert reads.watermark(KEY, day) == store.watermark(KEY, day)
    assert reads.cells(who, RETURNS) == store.cells(who, RETURNS)
    assert reads.exposed_by_day(who) == store.exposed_by_day(who)
    assert reads.first_exposed(who) == store.first_exposed(who)
    assert reads.by_age(who, AGES) == store.by_age(who, AGES)
    assert reads.day_counts(KEY, day) == store.day_counts(KEY, day)


def test_day_after_day_every_answer_is_the_databases(store: Store, tmp_path: Path) -> None:
    reads = opened(store, tmp_path / "archive")
    for day in DAYS:
        require_same(store, reads, day)
    assert store.mixed_users(KEY, DAYS[-1]) > store.mixed_users(KEY, DAYS[0])


def test_so_it_is_of_the_last_day_alone_and_after_a_late_event(store: Store, tmp_path: Path) -> None:
    require_same(store, opened(store, tmp_path / "archive"), DAYS[4])
    late(store, DAYS[3])
    require_same(store, opened(store, tmp_path / "archive"), DAYS[4])


def test_with_nothing_new_nothing_is_read(store: Store, tmp_path: Path, read: list[str]) -> None:
    require_same(store, opened(store, tmp_path / "archive"), DAYS[4])
    assert read
    read.clear()
    require_same(store, opened(store, tmp_path / "archive"), DAYS[4])
    assert not read


def test_the_newest_event_of_all_days_is_found(store: Store, tmp_path: Path) -> None:
    reads = opened(store, tmp_path / "archive")
    assert reads.watermark(KEY) == store.watermark(KEY)
    assert reads.watermarks([KEY]) == {KEY: store.watermark(KEY)}


def test_in_an_empty_archive_there_is_no_event(store: Store, tmp_path: Path) -> None:
    from ab_platform.storage.archive import Archive

    reads = ArchiveReads(store, Archive(tmp_path / "empty"), NoEngine(tmp_path))
    assert reads.watermark(KEY) is None
    assert reads.watermarks([KEY]) == {}


@pytest.mark.parametrize("question", [Cells(RETURNS), ByAge(AGES), ExposedByDay(), FirstExposures(), DayCounts()])
def test_answers_grow_unless_they_need_what_is_not_in_events(question: Question) -> None:
    assert grows(question)


@pytest.mark.parametrize(
    "question", [Cells(FAMILIES, ("device",)), Cells(((AGE,),)), FirstExposures(("cohort",))], ids=["1", "2", "3"]
)
def test_what_is_known_apart_from_events_is_asked_of_the_engine(question: Question) -> None:
    assert not grows(question)
