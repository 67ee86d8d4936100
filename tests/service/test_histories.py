"""Histories: those of a snapshot, title for title; fresh after a watch; there while the database is away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.errors import StoreAwayError
from ab_platform.experiment import DataRule
from ab_platform.lineage import Launch
from ab_platform.service.histories import HistoryCache, shown
from ab_platform.service.marks import Marks
from ab_platform.storage.store import Store
from ab_platform.training import Snapshot, snapshot
from models.interactions import Interactions
from tests.small_world import EXPERIMENT, fill
from tests.storage.made import START, after, register, watch
from tests.storage.made import launch as launched
from tests.worlds import experiment, launch

LAUNCH = launch(replace(experiment(), data=DataRule("small", hold_back=0.5)))


class FakeStore:
    """Histories in memory; it can be away, and counts how often each user is read."""

    def __init__(self) -> None:
        self.liked = {"u": ["t1", "t2", "t3", "t4"], "v": ["t9"]}
        self.plays: dict[str, list[tuple[str, datetime]]] = {}
        self.away = False
        self.reads: Counter[str] = Counter()

    def history(self, dataset: str, user_id: str, *, least_rating: float) -> tuple[tuple[str, ...], tuple[int, ...]]:
        self.reads[user_id] += 1
        if self.away:
            raise StoreAwayError("the database does not answer")
        titles = tuple(self.liked.get(user_id, ()))
        return titles, tuple(range(len(titles)))

    def watched(self, experiment: str, user_id: str, *, until: datetime | None) -> tuple[str, ...]:
        return tuple(title for title, at in self.plays.get(user_id, []) if until is None or at < until)

    def watch(self, user_id: str, title: str, at: datetime = START) -> None:
        self.plays.setdefault(user_id, []).append((title, at))


class FakeMarks:
    """Marks in memory."""

    def __init__(self) -> None:
        self.marks: Counter[str] = Counter()

    def of(self, user_id: str) -> int:
        return self.marks[user_id]


class Setting:
    """A cache with what it stands on, and a clock that is set by hand."""

    def __init__(self, users: int = 100) -> None:
        self.now = 0.0
        self.store, self.marks = FakeStore(), FakeMarks()
        self.cache = HistoryCache(self.store, users=users, marks=self.marks, ttl_seconds=30.0, clock=lambda: self.now)

    def of(self, user_id: str = "u", until: datetime | None = None) -> tuple[str, ...]:
        return self.cache.of(LAUNCH, user_id, until=until)

    def cached(self, user_id: str = "u", until: datetime | None = None) -> tuple[str, ...] | None:
        return self.cache.cached(LAUNCH, user_id, until=until)


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_every_user_of_a_data_set_has_the_history_of_the_snapshot(store: Store, tmp_path: Path) -> None:
    fill(store)
    cache = HistoryCache(store, marks=Marks(tmp_path / "marks"))
    for rule in (EXPERIMENT.data, replace(EXPERIMENT.data, hold_back=0.0), replace(EXPERIMENT.data, least_rating=5.0)):
        made = launched(replace(EXPERIMENT, key=f"of-{rule.hold_back}-{rule.least_rating}", data=rule))
        histories = snapshot(store, rule).population().histories
        assert {user: list(cache.of(made, user)) for user in histories} == histories


rows = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from([f"t{n}" for n in range(12)]), st.integers(0, 6)),
    min_size=1,
    max_size=60,
    unique_by=lambda row: row[:2],
)


@given(rows, st.sampled_from([0.0, 0.1, 0.25, 0.3, 1 / 3, 0.5, 0.7, 0.9, 0.999]), st.randoms(use_true_random=False))
def test_one_user_alone_is_split_as_among_all(rows: list[tuple[str, str, int]], part: float, rng: Random) -> None:
    users, titles, times = zip(*rows, strict=True)
    kept, held_back = Interactions.from_rows(users, titles, np.array(times, np.int64)).hold_back(part)
    histories = Snapshot("small", kept, held_back, kept, "hash").population().histories
    for user, history in histories.items():
        own = [row[1:] for row in rows if row[0] == user]
        rng.shuffle(own)
        liked, when = zip(*own, strict=True)
        assert list(shown(liked, when, DataRule("small", hold_back=part))) == history


def test_what_was_watched_comes_after_what_is_not_held_back(setting: Setting) -> None:
    setting.store.watch("u", "t7")
    assert setting.of() == ("t1", "t2", "t7")


def test_who_is_unknown_has_seen_nothing(setting: Setting) -> None:
    assert setting.of("nobody") == ()
    assert setting.cached("nobody") == ()


def test_memory_never_asks_the_store(setting: Setting) -> None:
    assert setting.cached() is None
    setting.of()
    assert setting.cached() == ("t1", "t2")
    assert setting.store.reads == {"u": 1}


def test_a_fresh_watch_counts_at_the_next_request(setting: Setting) -> None:
    setting.of()
    setting.store.watch("u", "t7")
    setting.marks.marks["u"] += 1
    assert setting.cached() is None
    assert setting.of() == ("t1", "t2", "t7")


def test_a_watch_that_is_stored_while_the_history_is_read_is_not_lost(setting: Setting) -> None:
    read = setting.store.history

    def meanwhile(dataset: str, user_id: str, *, least_rating: float) -> tuple[tuple[str, ...], tuple[int, ...]]:
        setting.marks.marks[user_id] += 1
        return read(dataset, user_id, least_rating=least_rating)

    setting.store.history = meanwhile  # type: ignore[method-assign]
    setting.of()
    assert setting.cached() is None


def test_a_history_is_read_anew_when_it_is_old(setting: Setting) -> None:
    setting.of()
    setting.now = 29.9
    assert setting.cached() is not None
    setting.now = 30.0
    assert setting.cached() is None


def test_a_moment_sees_the_watches_before_it_only(setting: Setting) -> None:
    for seconds in (1, 2, 3):
        setting.store.watch("u", f"t{6 + seconds}", after(seconds=seconds))
    assert setting.of(until=after(seconds=2)) == ("t1", "t2", "t7")
    assert setting.of(until=after(seconds=3)) == ("t1", "t2", "t7", "t8")
    assert setting.of() == ("t1", "t2", "t7", "t8", "t9")


def test_the_user_who_was_asked_for_the_longest_ago_makes_room() -> None:
    setting = Setting(users=2)
    for user in ("u", "v", "u", "w"):
        setting.of(user)
    assert len(setting.cache) == 2
    assert (setting.cached("u"), setting.cached("v"), setting.cached("w")) == (("t1", "t2"), None, ())


def test_without_the_database_an_old_history_serves(setting: Setting) -> None:
    setting.of()
    setting.store.away, setting.now = True, 1_000.0
    assert setting.of() == ("t1", "t2")
    assert (setting.cache.served_old, setting.cache.served_empty) == (1, 0)


def test_without_the_database_who_was_not_read_before_has_seen_nothing(setting: Setting) -> None:
    setting.store.away = True
    assert setting.of() == ()
    assert (setting.cache.served_old, setting.cache.served_empty) == (0, 1)


def test_a_database_that_is_away_is_left_alone_but_for_one_request_a_second(setting: Setting) -> None:
    setting.store.away = True
    for tenth in range(51):
        setting.now = tenth / 10
        setting.of()
    assert setting.store.reads["u"] == 6
    assert setting.cache.served_empty == 51


def test_a_database_that_is_back_is_read_again(setting: Setting) -> None:
    setting.store.away = True
    setting.of()
    setting.store.away, setting.now = False, 1.0
    assert setting.of() == ("t1", "t2")
    assert setting.of("v") == ("t9",)


def test_titles_are_kept_once_for_all_users(setting: Setting) -> None:
    setting.store.liked = {user: ["".join(("ti", "tle")), "".join(("oth", "er"))] for user in "uv"}
    assert setting.of("u")[0] is setting.of("v")[0]


def test_a_watch_in_the_store_is_seen_through_the_marks(store: Store, tmp_path: Path) -> None:
    made: Launch = launched()
    register(store, made)
    store.launch(made)
    marks = Marks(tmp_path / "marks")
    cache, other = HistoryCache(store, marks=marks), HistoryCache(store, marks=Marks(tmp_path / "marks"))
    assert cache.of(made, "u1") == other.of(made, "u1") == ()
    store.record([watch("u1", after(seconds=1), 60.0)])
    marks.touch("u1", now_ns=1)
    assert cache.of(made, "u1") == other.of(made, "u1") == ("title-1",)
