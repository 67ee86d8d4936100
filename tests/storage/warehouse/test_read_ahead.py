"""What is read ahead of many experiments at once is what each of them gives alone, to the digit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from ab_platform.analysis.readout import population_of
from ab_platform.events import Impression
from ab_platform.experiment import AnalysisRule
from ab_platform.storage import per_user
from ab_platform.storage.archive import Archive
from ab_platform.storage.per_user import KNOWN_BEFORE, PerUser
from ab_platform.storage.population import Population, Populations
from ab_platform.storage.store import Store, Wanted, open_store
from ab_platform.storage.warehouse import ArchiveReads, open_engine
from ab_platform.storage.warehouse.ahead import together
from ab_platform.storage.warehouse.duck import Duck
from ab_platform.storage.warehouse.engine import Source
from ab_platform.storage.warehouse.questions import Cells
from tests.analysis.made import DATASET, START, definition, launched, visits
from tests.analysis.test_warehouse import in_the_other_arm
from tests.storage.warehouse.exported import exported
from tests.storage.warehouse.test_archive_reads import DIALECTS

KEYS = ("one", "two", "three", "four")
FIRST = ("first", "between")
LAST = (START + timedelta(days=6)).date()
BEFORE = (PerUser("watch_seconds"), PerUser("watch_seconds", "before"), KNOWN_BEFORE)
FAMILIES = (BEFORE, (PerUser("clicked"), PerUser("impressions"), PerUser("clicks", "before")))
ALONE = ((PerUser("clicks"), PerUser("returned_1"), PerUser("due_1")),)
AGES = ((PerUser("clicks"),),)
USERS = 40
BY_ENGINE = 4
"""Queries of the six questions; sums without segments and users by day are counted beside it."""


class Counting(Duck):
    """DuckDB that counts what it is asked."""

    asked = 0

    def answer(self, query: str, sources: Sequence[Source]) -> pa.Table:
        self.asked += 1
        return super().answer(query, sources)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """Four experiments after and beside two others; the same users in all, some in two arms of one; one is stopped."""
    opened = open_store(sqlite_url, migrate=False)
    for name, values in {"device": ("phone", "tv"), "age": ("31.5", "-4")}.items():
        opened.write_attributes(DATASET, name, [(f"user-{user}", values[user % 2]) for user in range(0, USERS, 3)])
    rule = AnalysisRule(covariates=("before",), segments=("device", "cohort"), covariate_days=6)
    for place, key in enumerate((*FIRST, *KEYS)):
        at = START - timedelta(days=(12, 3)[place]) if key in FIRST else START
        launch = launched(opened, definition(key, analysis=rule), at=at)
        events = visits(launch, USERS, seed=place, factor=1.0 + place / 10.0)
        opened.record(events)
        if key in ("between", "one", "three"):
            shown = [event for event in events if isinstance(event, Impression)]
            opened.record([in_the_other_arm(event) for event in shown[place::60]])
    opened.stop("two", at=START + timedelta(days=4, hours=7))
    opened.roll_up()
    yield opened
    opened.close()


@pytest.fixture
def archive(store: Store, tmp_path: Path) -> Archive:
    return exported(store, tmp_path / "archive")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Counting]:
    opened = Counting(tmp_path)
    yield opened
    opened.close()


def wanted(store: Store, *, ended_before: bool = False) -> list[Wanted]:
    """Every question of each experiment; with `ended_before`, only of the experiment that is over before them."""
    found = []
    for key in KEYS:
        who = population_of(store, store.experiment(key), LAST)
        assert {"between", *KEYS} - {key} <= set(who.earlier)
        if ended_before:
            earlier = ("first",) if key != "one" else ("between", "first")
            who = replace(who, earlier=earlier, covariate_days=365, ended_before=True)
        found.append(Wanted(who, FAMILIES, ((), ("device", "cohort")), ("device", "cohort"), AGES))
    return found


def require_same(store: Store, reads: ArchiveReads, each: Wanted) -> None:
    """Require what the database gives, of every read."""
    who = each.population
    for dimensions in each.dimensions:
        assert reads.cells(who, each.families, dimensions) == store.cells(who, each.families, dimensions)
    assert reads.by_age(who, each.ages) == store.by_age(who, each.ages)
    assert reads.exposed_by_day(who) == store.exposed_by_day(who)
    assert reads.first_exposed(who, each.segments) == store.first_exposed(who, each.segments)
    assert reads.day_counts(who.experiment, who.as_of) == store.day_counts(who.experiment, who.as_of)


@pytest.mark.parametrize("ended_before", [False, True])
def test_many_at_once_are_what_each_is_alone(
    store: Store, archive: Archive, engine: Counting, ended_before: bool
) -> None:
    reads = ArchiveReads(store, archive, engine)
    asked = wanted(store, ended_before=ended_before)
    told: list[tuple[int, int]] = []
    reads.read_ahead(asked, lambda done, total: told.append((done, total)))
    assert told == [(number, 6) for number in range(7)]
    assert engine.asked == BY_ENGINE
    assert all(store.mixed_users(key, LAST) for key in ("one", "three"))
    for each in asked:
        require_same(store, reads, each)
    assert engine.asked == BY_ENGINE


def test_so_it_is_without_earlier_experiments_and_with_attributes(
    store: Store, archive: Archive, engine: Counting
) -> None:
    reads = ArchiveReads(store, archive, engine)
    families = (*ALONE, (PerUser("clicks"), PerUser("age", "attribute"), PerUser("age", "attribute_known")), BEFORE)
    asked = [Wanted(Population(key, LAST, DATASET), families, rest=False) for key in KEYS]
    reads.read_ahead(asked)
    assert engine.asked == 1
    for each in asked:
        assert reads.cells(each.population, families) == store.cells(each.population, families)
    assert engine.asked == 1


@pytest.mark.parametrize("ahead", [True, False])
def test_what_was_done_before_on_a_surface_that_nobody_is_exposed_on_counts_for_nobody(
    sqlite_url: str, tmp_path: Path, engine: Counting, ahead: bool
) -> None:
    store = open_store(sqlite_url, migrate=False)
    store.record(visits(launched(store, definition("first"), at=START - timedelta(days=7)), USERS))
    rule = AnalysisRule(covariates=("before",))
    for key in ("one", "two"):
        store.record(visits(launched(store, definition(key, analysis=rule)), USERS, surfaces=("movie_card",)))
    store.roll_up()
    reads = ArchiveReads(store, exported(store, tmp_path / "archive"), engine)
    populations = [population_of(store, store.experiment(key), LAST) for key in ("one", "two")]
    if ahead:
        reads.read_ahead([Wanted(each, FAMILIES, rest=False) for each in populations])
    for each in populations:
        assert reads.cells(each, FAMILIES) == store.cells(each, FAMILIES) != ()
    assert engine.asked == 0
    store.close()


def test_an_engine_that_ibis_connects_to_gives_the_same(
    store: Store, archive: Archive, empty_postgres_url: str
) -> None:
    engine = open_engine(empty_postgres_url, beside=archive.folder)
    reads = ArchiveReads(store, archive, engine)
    asked = [replace(each, rest=False) for each in wanted(store)]
    reads.read_ahead(asked)
    for each in asked:
        assert reads.cells(each.population, FAMILIES) == store.cells(each.population, FAMILIES)
    engine.close()


def test_the_database_is_asked_one_by_one(store: Store) -> None:
    asked = wanted(store)
    store.read_ahead(asked)
    assert store.cells(asked[0].population, FAMILIES)


def test_what_was_read_is_given_once_and_not_after_a_roll_up(store: Store, archive: Archive, engine: Counting) -> None:
    reads = ArchiveReads(store, archive, engine)
    asked = wanted(store)
    reads.read_ahead(asked)
    first, segments = asked[0].population, asked[0].segments
    given = reads.first_exposed(first, segments)
    assert engine.asked == BY_ENGINE
    assert reads.first_exposed(first, segments) == given
    assert engine.asked == BY_ENGINE + 1
    reads.roll_up()
    reads.first_exposed(asked[1].population, segments)
    assert engine.asked == BY_ENGINE + 2


def test_another_question_is_asked(store: Store, archive: Archive, engine: Counting) -> None:
    reads = ArchiveReads(store, archive, engine)
    reads.read_ahead([replace(each, rest=False) for each in wanted(store)])
    before = engine.asked
    other = replace(wanted(store)[0].population, earlier=("first",))
    assert reads.cells(other, FAMILIES, ("cohort",)) == store.cells(other, FAMILIES, ("cohort",))
    assert engine.asked == before + 1


def test_one_alone_is_left_to_be_asked(store: Store, archive: Archive, engine: Counting) -> None:
    ArchiveReads(store, archive, engine).read_ahead(wanted(store)[:1])
    assert engine.asked == 0


def test_big_experiments_are_left_to_be_asked(
    store: Store, archive: Archive, engine: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ab_platform.storage.warehouse.archive_reads.ROWS_AT_ONCE", 1)
    ArchiveReads(store, archive, engine).read_ahead(wanted(store))
    assert engine.asked == 0


def test_the_newest_events_of_many_are_found_at_once(store: Store, archive: Archive, engine: Counting) -> None:
    reads = ArchiveReads(store, archive, engine)
    launched(store, definition("silent"))
    for day in (LAST, START.date(), None):
        engine.asked = 0
        found = reads.watermarks([*KEYS, "silent"], day)
        assert engine.asked == 1
        assert found == store.watermarks([*KEYS, "silent"], day)
        assert found == {key: store.watermark(key, day) for key in KEYS}


def test_a_query_takes_as_many_as_fit_and_none_alone() -> None:
    asked = [(Cells(FAMILIES), Population(f"e-{number}", LAST, "", ("b",))) for number in range(7)]
    other = (Cells(FAMILIES), Population("other", LAST, ""))
    rows = {f"e-{number}": 2.0 for number in range(7)} | {"other": 1.0}
    found = list(together([*asked[::-1], other], rows, at_most=6.0))
    assert [[each.experiment for each in populations] for _, populations in found] == [
        ["e-0", "e-1", "e-2"],
        ["e-3", "e-4", "e-5"],
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("ended_before", [False, True])
def test_the_query_of_many_is_written_in_the_words_of_every_engine(dialect: str, ended_before: bool) -> None:
    each = [Population(key, LAST, DATASET, (f"{key}-before",), 14, ended_before) for key in KEYS]
    whose = Populations.of(each)
    assert "earlier_experiments" in per_user.sums(whose, FAMILIES, ["device", "cohort"], dialect=dialect)
    assert "three" in per_user.by_age(whose, AGES, dialect=dialect)
    assert "three" in per_user.first_exposures(whose, ["device"], dialect=dialect)
