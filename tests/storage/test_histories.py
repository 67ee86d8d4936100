"""One user's interactions and watches, on both engines, by their indexes."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, text

from ab_platform.events import event_id
from ab_platform.storage.store import Store
from tests.storage.made import KEY, START, after, click, definition, impression, started, watch


@pytest.fixture
def liked(store: Store) -> Store:
    """A store where u1 rated four titles, one of them at an unknown time and one too low, and u2 one."""
    users = ["u1", "u1", "u1", "u1", "u2"]
    titles = ["t3", "t1", "t2", "t4", "t1"]
    ratings = np.array([5.0, 4.0, np.nan, 3.5, 5.0])
    with store.ingesting("small", "hash", "made by a test", START) as writer:
        writer.write_interactions(users, titles, ratings, np.array([30, 10, 20, 40, 50], dtype=np.int64))
        writer.finish(0)
    return store


def test_a_history_has_what_one_user_liked_with_its_times(liked: Store) -> None:
    titles, times = liked.history("small", "u1", least_rating=4.0)
    assert dict(zip(titles, times, strict=True)) == {"t3": 30, "t1": 10, "t2": 20}


def test_a_history_is_what_the_interactions_of_all_users_hold_of_the_user(liked: Store) -> None:
    columns = liked.interactions("small", least_rating=4.0)
    for place, user in enumerate(columns.users):
        rows = columns.user_codes == place
        found = zip(columns.title_codes[rows].tolist(), columns.at[rows].tolist(), strict=True)
        whole = {(columns.titles[code], seconds) for code, seconds in found}
        assert set(zip(*liked.history("small", user, least_rating=4.0), strict=True)) == whole


@pytest.mark.parametrize(("dataset", "user"), [("small", "nobody"), ("another", "u1")])
def test_who_is_not_known_has_no_history(liked: Store, dataset: str, user: str) -> None:
    assert liked.history(dataset, user, least_rating=4.0) == ((), ())


def _watch(store: Store, title: str, seconds: float, *, user: str = "u1", key: str = KEY) -> None:
    store.record([replace(watch(user, after(seconds=seconds), 60.0, key=key, mark=title), title_id=title)])


def test_watched_titles_come_once_by_their_first_watch(store: Store) -> None:
    started(store)
    for title, seconds in (("t2", 5), ("t1", 10), ("t2", 20), ("t0", 30)):
        _watch(store, title, seconds)
    assert store.watched(KEY, "u1") == ("t2", "t1", "t0")


def test_only_watches_of_the_user_under_the_experiment_count(store: Store) -> None:
    started(store)
    started(store, definition("another", layer="another-layer"))
    _watch(store, "t1", 1)
    _watch(store, "t2", 2, user="u2")
    _watch(store, "t3", 3, key="another")
    store.record([impression("u1", after(seconds=4)), click("u1", after(seconds=5))])
    assert store.watched(KEY, "u1") == ("t1",)
    assert store.watched(KEY, "nobody") == ()


def test_what_was_watched_from_slates_of_the_moment_or_later_does_not_count(store: Store) -> None:
    started(store)
    for title, shown_at in (("t1", 10), ("t2", 20)):
        pointed = event_id(after(seconds=shown_at), title)
        # Watched at the end of the day: what counts is when it was shown.
        seen = replace(watch("u1", after(seconds=3_600), 60.0, mark=title), title_id=title, impression_id=pointed)
        store.record([seen])
    at = after(seconds=20)
    assert store.watched(KEY, "u1", until=at) == ("t1",)
    assert store.watched(KEY, "u1", until=at + timedelta(milliseconds=1)) == ("t1", "t2")


def _plan_of(store: Store, ask: str) -> str:
    """Return how the engine runs the one statement of a call."""
    seen: list[tuple[str, Any]] = []

    @event.listens_for(store.engine, "before_cursor_execute")
    def keep(connection: object, cursor: object, statement: str, parameters: Any, *rest: object) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    if ask == "history":
        store.history("small", "u7", least_rating=4.0)
    else:
        store.watched(KEY, "u7", until=START)
    event.remove(store.engine, "before_cursor_execute", keep)
    [(statement, parameters)] = seen
    explain = "EXPLAIN QUERY PLAN " if store.engine.dialect.name == "sqlite" else "EXPLAIN "
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql(explain + statement, parameters).all()
    return "\n".join(str(row[-1]) for row in rows)


@pytest.mark.parametrize("ask", ["history", "watched"])
def test_one_user_is_found_by_an_index(store: Store, ask: str) -> None:
    started(store)
    users = [f"u{user}" for user in range(400) for _ in range(25)]
    titles = [f"t{title}" for _ in range(400) for title in range(25)]
    with store.ingesting("small", "hash", "made by a test", START) as writer:
        writer.write_interactions(users, titles, np.full(len(users), 5.0), np.arange(len(users), dtype=np.int64))
        writer.finish(0)
    store.record([watch(user, after(seconds=place), 60.0, mark=str(place)) for place, user in enumerate(users)])
    if store.engine.dialect.name == "postgresql":
        with store.engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    plan = _plan_of(store, ask)
    assert re.search("SEARCH|Index (Only )?Scan|Bitmap Index Scan", plan)
    assert not re.search("^SCAN|Seq Scan", plan, re.MULTILINE)
