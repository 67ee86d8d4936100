"""Running totals give the sums of all users at once, to the digit, and only what changed is made anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from time import time

import pytest

from ab_platform.analysis.readout import population_of
from ab_platform.events import Click, Impression, Watch, event_id
from ab_platform.storage.archive import shards_of
from ab_platform.storage.archive.forgetting import forget
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.per_user_statements import Cell
from ab_platform.storage.population import Population
from ab_platform.storage.store import Store, open_store
from ab_platform.storage.warehouse import ArchiveReads
from ab_platform.storage.warehouse.duck import Duck
from ab_platform.storage.warehouse.shard_days import ShardDays
from ab_platform.storage.warehouse.totals import Day, Totals
from tests.analysis.made import DATASET, KEY, START
from tests.analysis.test_warehouse import RULES, world
from tests.storage.warehouse.exported import AT, FAMILIES, exported

FIRST = START.date()
EVERY_SHARD = {0, 1, 2}

DAYS = [FIRST + timedelta(days=day) for day in range(6)]


class Kept:
    """A store, its archive, and which days of which shards were gone through."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.engine = Duck(folder.parent)
        self.read: list[tuple[date, int]] = []
        self.publish()

    def publish(self) -> None:
        self.archive = exported(self.store, self.folder)
        self.reads = ArchiveReads(self.store, self.archive, self.engine)

    def population(self, day: date) -> Population:
        return population_of(self.store, self.store.experiment(KEY), day)

    def equal(self, day: date) -> dict[date, set[int]]:
        """Require the digits of the database, and return which shards of which days that went through."""
        self.read.clear()
        assert self.cells(day) == self.store.cells(self.population(day), FAMILIES)
        return {day: {shard for of, shard in self.read if of == day} for day, _ in self.read}

    def cells(self, day: date, families: Sequence[Sequence[PerUser]] = FAMILIES) -> tuple[Cell, ...]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(ShardDays, "day", self._noting(ShardDays.day))
            return self.reads.cells(self.population(day), families)

    def _noting(self, read: Callable[[ShardDays, date, Totals], Day]) -> Callable[[ShardDays, date, Totals], Day]:
        def noted(days: ShardDays, day: date, totals: Totals) -> Day:
            self.read.append((day, days.shard))
            return read(days, day, totals)

        return noted

    def totals(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.glob("running/*/*/*.arrow")}


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """Which database exported the archive makes no difference to what is read of it."""
    opened = open_store(sqlite_url, migrate=False)
    yield opened
    opened.close()


@pytest.fixture
def kept(store: Store, tmp_path: Path) -> Iterator[Kept]:
    world(store, RULES["before"])
    made = Kept(store, tmp_path / "archive")
    yield made
    made.engine.close()


@pytest.mark.parametrize("ends_before", [True, False])
def test_day_after_day_gives_what_all_users_at_once_give(store: Store, tmp_path: Path, ends_before: bool) -> None:
    world(store, RULES["before"], ends_before=ends_before)
    kept = Kept(store, tmp_path / "archive")
    for day in DAYS:
        assert kept.equal(day)
    kept.engine.close()


def test_days_that_were_skipped_are_gone_through_with_the_next_one(kept: Kept) -> None:
    kept.equal(DAYS[1])
    assert set(kept.equal(DAYS[4])) == set(DAYS[2:5])


def test_a_day_more_reads_that_day_alone(kept: Kept) -> None:
    kept.equal(DAYS[3])
    assert kept.equal(DAYS[4]) == {DAYS[4]: EVERY_SHARD}


def test_a_day_that_was_looked_at_before_reads_no_user(kept: Kept) -> None:
    kept.equal(DAYS[2])
    kept.equal(DAYS[4])
    kept.publish()
    assert not kept.equal(DAYS[2])
    assert not kept.equal(DAYS[4])


def test_columns_that_were_not_asked_for_before_are_added_up_from_the_totals_that_are_there(kept: Kept) -> None:
    kept.equal(DAYS[4])
    kept.read.clear()
    one = FAMILIES[1][::-1], FAMILIES[0], FAMILIES[2]
    assert kept.reads.cells(kept.population(DAYS[4]), one) == kept.store.cells(kept.population(DAYS[4]), one)
    assert not kept.read


def test_a_late_event_makes_its_users_shard_anew_from_its_day_on(kept: Kept) -> None:
    for day in DAYS[:5]:
        kept.equal(day)
    before = kept.totals()
    late(kept.store, DAYS[3])
    kept.publish()
    gone_through = kept.equal(DAYS[4])
    assert set(gone_through) == set(DAYS[3:5])
    assert all(len(shards) == 1 for shards in gone_through.values())
    new = kept.totals() - before
    assert {path.split("/")[2] for path in new} == {f"day={day}" for day in DAYS[3:5]}
    assert len({path.split("/")[3][:2] for path in new}) == 1


def test_totals_of_an_older_version_go_after_a_day(kept: Kept) -> None:
    kept.equal(DAYS[4])
    before = kept.totals()
    late(kept.store, DAYS[2])
    kept.publish()
    kept.equal(DAYS[4])
    assert kept.totals() > before
    now = time()
    for path in before:
        os.utime(kept.folder / path, (now - 90_000, now - 90_000))
    late(kept.store, DAYS[3])
    kept.publish()
    kept.equal(DAYS[4])
    assert len(before - kept.totals()) == 3  # the days from the first late event on, of one shard


def test_totals_are_kept_through_the_last_three_days(kept: Kept) -> None:
    for day in DAYS[:5]:
        kept.equal(day)
        for path in kept.totals():
            os.utime(kept.folder / path, (time() - 90_000, time() - 90_000))
    assert {path.split("/")[2] for path in kept.totals()} == {f"day={day}" for day in DAYS[2:5]}


def test_an_event_of_the_time_before_makes_its_users_shard_anew(kept: Kept) -> None:
    kept.equal(DAYS[4])
    before = kept.totals()
    late(kept.store, FIRST - timedelta(days=6), experiment="before")
    kept.publish()
    gone_through = kept.equal(DAYS[4])
    assert set(gone_through) == set(DAYS[:5])
    assert all(len(shards) == 1 for shards in gone_through.values())
    assert len(kept.totals() - before) == 3


def test_after_the_end_totals_are_kept_through_the_last_day_alone(kept: Kept) -> None:
    assert set(kept.equal(DAYS[5])) == set(DAYS)
    assert {path.split("/")[2] for path in kept.totals()} == {f"day={DAYS[5]}"}


def test_a_question_with_fewer_columns_makes_no_totals(kept: Kept) -> None:
    kept.equal(DAYS[4])
    kept.read.clear()
    fewer = (FAMILIES[0],)
    assert kept.cells(DAYS[4], fewer) == kept.store.cells(kept.population(DAYS[4]), fewer)
    assert not kept.read


def test_a_question_with_more_columns_makes_totals_of_all_that_was_asked(kept: Kept) -> None:
    for families in ((FAMILIES[0],), (FAMILIES[1],), FAMILIES):
        kept.read.clear()
        assert kept.cells(DAYS[4], families) == kept.store.cells(kept.population(DAYS[4]), families)
    assert not kept.read


def test_totals_and_sums_that_are_lost_or_cut_short_are_made_again(kept: Kept) -> None:
    kept.equal(DAYS[3])
    kept.equal(DAYS[4])
    [sums] = kept.folder.glob("running/*/sums-*.json")
    sums.write_bytes(sums.read_bytes()[:-9])
    rmtree(kept.folder / "running" / KEY / f"day={DAYS[4]}")
    for path in kept.folder.glob(f"running/*/day={DAYS[3]}/*"):
        path.write_bytes(path.read_bytes()[:-9])
    assert set(kept.equal(DAYS[4])) == set(DAYS[3:5])


def test_nothing_of_an_erased_user_is_left_in_totals(kept: Kept) -> None:
    kept.equal(DAYS[4])
    user, _ = somebody(kept.store, KEY)
    every = list(kept.folder.glob("running/*/*/*.arrow"))
    [shard] = shards_of([user], kept.archive.shards)
    theirs = {path for path in every if path.name.startswith(f"{shard:02d}-")}
    assert len(theirs) == 3
    [numbers] = kept.folder.glob(f"numbers/{shard:02d}-*")
    assert user.encode() in (numbers / "users.arrow").read_bytes()
    killed = next(iter(theirs))
    cut_short = killed.with_name(f".{killed.name}.4711")
    cut_short.write_bytes(killed.read_bytes()[:-9])
    forget(kept.archive, user, at=AT)
    assert set(kept.folder.glob("running/*/*/*.arrow")) == set(every) - theirs
    assert not cut_short.exists()
    assert not numbers.exists()
    kept.reads = ArchiveReads(kept.store, kept.archive, kept.engine)
    kept.cells(DAYS[4])
    [numbers] = kept.folder.glob(f"numbers/{shard:02d}-*")
    assert user.encode() not in (numbers / "users.arrow").read_bytes()


def test_ids_of_users_may_be_of_any_length_and_letters(store: Store, tmp_path: Path) -> None:
    world(store, RULES["before"])
    kept = Kept(store, tmp_path / "archive")
    kept.equal(DAYS[0])
    _, arm = somebody(store, KEY)
    for day, user in enumerate(("ü", "a longer name than others have, by far", "0", "u 1", "ü2"), start=1):
        at = datetime.combine(DAYS[day], datetime.min.time(), UTC) + timedelta(hours=1)
        slate = event_id(at, user)
        store.record([Impression(slate, KEY, user, arm, "home_card", "t3", at, slate, 0, arm)])
        store.roll_up()
        kept.publish()
        kept.equal(DAYS[min(day, 4)])
    kept.engine.close()


def late(store: Store, day: date, experiment: str = KEY) -> None:
    """Record what a user who had been exposed did on a day, with a click and a watch, and roll up."""
    user, arm = somebody(store, experiment)
    at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=23, minutes=50)
    slate, shown = event_id(at, f"late slate {experiment}"), event_id(at, f"late impression {experiment}")
    store.record(
        [
            Impression(shown, experiment, user, arm, "home_card", "t3", at, slate, 0, arm),
            Click(event_id(at, "late click"), experiment, user, arm, "home_card", "t3", at, shown),
            Watch(event_id(at, "late watch"), experiment, user, arm, "home_card", "t3", at, shown, 61.5),
        ]
    )
    store.roll_up()


def somebody(store: Store, experiment: str) -> tuple[str, str]:
    """Return a user whom the first day's exposure counts and no second arm took out, and the arm."""
    first = store.experiment(experiment).starts_at.date()
    by_day = [
        {
            (user, arm)
            for of in store.user_values(Population(experiment, day, DATASET), [PerUser("clicks")])
            if of.surface == "home_card"
            for user, arm in zip(of.users.tolist(), of.arms.tolist(), strict=True)
        }
        for day in (first, DAYS[5])
    ]
    return min(set.intersection(*by_day))
