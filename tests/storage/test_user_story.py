"""One user's story: slates, clicks and watches in their order, and that no other user is read for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select, select, text

from ab_platform.events import AnyEvent, Click, Impression, Watch, event_id
from ab_platform.lineage import Title
from ab_platform.storage.schema import events
from ab_platform.storage.store import Store, Whose
from ab_platform.storage.user_story import statements
from ab_platform.user_story import SlateShown, TitleShown, UserExposure
from tests.storage import made

WHOSE = Whose(made.KEY, "ml-1m", "ann")

OTHERS = 400
"""Users besides, enough for a planner to prefer an index to reading them all."""


def slate(
    number: int, *, user: str = "ann", titles: int = 2, key: str = made.KEY, arm: str = "pia"
) -> list[Impression]:
    """Show a slate an hour after the one before."""
    at = made.after(seconds=3600.0 * number)
    one = replace(
        made.impression(user, at, key=key, arm=arm), slate_id=event_id(at, f"{key}/{user}/slate"), latency_ms=12.5
    )
    return [
        replace(one, event_id=event_id(at, f"{key}/{user}/{place}"), title_id=f"t{place}", position=place)
        for place in range(titles)
    ]


def clicked(shown: Impression, *, times: int = 1) -> list[Click]:
    moments = [shown.at + timedelta(seconds=5 + each) for each in range(times)]
    one = made.click(shown.user_id, shown.at, key=shown.experiment)
    return [
        replace(one, event_id=event_id(at, f"{shown.event_id}/click"), impression_id=shown.event_id, at=at)
        for at in moments
    ]


def watched(shown: Impression, seconds: float, *, mark: str = "") -> Watch:
    one = made.watch(shown.user_id, shown.at + timedelta(seconds=9), seconds, key=shown.experiment)
    return replace(one, event_id=event_id(one.at, f"{shown.event_id}/watch/{mark}"), impression_id=shown.event_id)


def test_a_slate_comes_with_its_titles_and_what_became_of_each(store: Store) -> None:
    made.started(store)
    _ingest(store)
    first, second = slate(1)
    store.record([first, second, *clicked(second, times=2), watched(second, 30.0), watched(second, 12.5, mark="again")])
    story = store.user_story(WHOSE, count=50)
    assert story.slates == (
        SlateShown(
            "home_card",
            first.at,
            "pia",
            "pia",
            12.5,
            (TitleShown("t0", "Heat", 0, 0, None), TitleShown("t1", None, 1, 2, 42.5)),
        ),
    )
    assert story.exposures == (UserExposure("home_card", "pia", first.at),)
    assert (story.slates_in_all, story.astray, story.mixed_at, story.erased_at) == (1, 0, None, None)


def test_the_newest_slates_come_first_a_page_at_a_time(store: Store) -> None:
    made.started(store)
    shown = [slate(number, titles=1)[0] for number in range(5)]
    store.record([*reversed(shown)])
    pages = [store.user_story(WHOSE, skip=skip, count=2) for skip in (0, 2, 4, 6)]
    moments = [[each.at for each in page.slates] for page in pages]
    assert moments == [[shown[4].at, shown[3].at], [shown[2].at, shown[1].at], [shown[0].at], []]
    assert {page.slates_in_all for page in pages} == {5}


def test_what_others_did_and_what_the_user_did_elsewhere_is_not_told(store: Store) -> None:
    made.started(store)
    made.started(store, made.definition("elsewhere", layer="other"))
    (mine,) = slate(1, titles=1)
    (theirs,) = slate(2, titles=1, user="bob")
    (elsewhere,) = slate(3, titles=1, key="elsewhere")
    store.record([mine, theirs, elsewhere, *clicked(theirs), *clicked(elsewhere)])
    (told,) = store.user_story(WHOSE, count=50).slates
    assert told.at == mine.at
    assert told.titles[0].clicks == 0


def test_clicks_whose_impression_never_arrived_are_counted(store: Store) -> None:
    made.started(store)
    arrived, lost = slate(1)
    store.record([arrived, *clicked(arrived), *clicked(lost, times=2), watched(lost, 10.0)])
    story = store.user_story(WHOSE, count=50)
    assert story.astray == 3
    assert [title.clicks for title in story.slates[0].titles] == [1]


def test_a_user_seen_in_two_arms_is_told_with_the_moment(store: Store) -> None:
    made.started(store)
    (first,), (second,) = slate(1, titles=1), slate(2, titles=1, arm="control")
    store.record([first, second])
    store.roll_up()
    assert store.user_story(WHOSE, count=50).mixed_at == second.at


def test_nobody_has_an_empty_story(store: Store) -> None:
    made.started(store)
    _ingest(store)
    story = store.user_story(Whose(made.KEY, "ml-1m", "nobody"), count=50)
    assert (story.known, story.exposures, story.slates, story.slates_in_all, story.astray) == (False, (), (), 0, 0)


@pytest.mark.parametrize("how", ["interaction", "attribute"])
def test_a_user_is_known_by_an_interaction_or_an_attribute_of_the_data_set(store: Store, how: str) -> None:
    made.started(store)
    if how == "interaction":
        _ingest(store, user="ann")
    else:
        for name in ("country", "device", "interactions"):
            store.write_attributes("ml-1m", name, [("ann" if name == "device" else "bob", "x")])
    assert store.user_story(WHOSE, count=1).known
    assert not store.user_story(replace(WHOSE, dataset="other"), count=1).known
    assert not store.user_story(replace(WHOSE, user_id="carl"), count=1).known


def test_an_erased_user_has_nothing_left_but_the_moment(store: Store) -> None:
    made.started(store)
    _ingest(store, user="ann")
    store.record([*slate(1)])
    store.erase("ann", at=made.after(days=1))
    story = store.user_story(WHOSE, count=50)
    assert (story.known, story.exposures, story.slates, story.erased_at) == (False, (), (), made.after(days=1))


def test_first_exposures_are_by_experiment(store: Store) -> None:
    made.started(store)
    made.started(store, made.definition("elsewhere", layer="other"))
    (mine,), (elsewhere,) = slate(2, titles=1), slate(3, titles=1, key="elsewhere")
    store.record([mine, replace(mine, event_id=event_id(mine.at, "x"), surface="movie_card"), elsewhere])
    assert store.first_exposures("ann", [made.KEY, "elsewhere"]) == {made.KEY: mine.at, "elsewhere": elsewhere.at}
    assert store.first_exposures("ann", ["elsewhere"]) == {"elsewhere": elsewhere.at}
    assert store.first_exposures("bob", [made.KEY]) == {}


def test_no_statement_reads_more_than_the_users_rows(store: Store) -> None:
    made.started(store)
    _crowd(store)
    plans = list(_plans(store))
    assert len(plans) >= 9
    for query, plan in plans:
        assert [line for line in plan if _reads_others(line)] == [], f"{query}\n" + "\n".join(plan)


def test_a_statement_that_reads_all_users_would_be_found(store: Store) -> None:
    made.started(store)
    _crowd(store)
    everybody = select(events.c.user_id).where(events.c.kind == "click")
    [(_, plan)] = _plans(store, [everybody])
    assert any(_reads_others(line) for line in plan)


def _plans(store: Store, queries: Sequence[Select[Any]] = statements(WHOSE)) -> Iterator[tuple[str, list[str]]]:
    """Give each statement with the steps that the database would take."""
    sqlite = store.engine.dialect.name == "sqlite"
    with store.engine.connect() as connection:
        if not sqlite:
            connection.execute(text("ANALYZE"))
        for statement in queries:
            query = str(statement.compile(store.engine, compile_kwargs={"literal_binds": True}))
            rows = connection.execute(text(f"EXPLAIN {'QUERY PLAN ' * sqlite}{query}"))
            yield query, [str(row[-1]).strip() for row in rows]


def _reads_others(line: str) -> bool:
    """Tell a step that goes over more users than one: a scan of a table of users, or a search that does not name whose.

    The names of attributes are found one by one, each by the beginning of an index.
    """
    tables = ("events", "exposures", "interactions", "mixed_users")
    scanned = line.startswith(tuple(f"SCAN {table}" for table in (*tables, "user_attributes"))) or "Seq Scan" in line
    searched = line.startswith(("Index Cond:", *(f"SEARCH {table}" for table in tables)))
    by_slate = "event_id" in line or ("dataset" in line and "name" in line)
    return scanned or (searched and "user_id" not in line and not by_slate)


def _crowd(store: Store) -> None:
    """Store many other users, over several days, so that reading them all would cost more than an index."""
    shown: list[AnyEvent] = []
    for number in range(OTHERS):
        for hour, arm in ((1, "pia"), (30, "pia"), (60, "control")):
            shown += slate(hour, user=f"u{number}", titles=4, arm=arm)
    store.record([*shown, *slate(1), *slate(30)])
    _ingest(store, user="ann", others=OTHERS)
    for name in ("country", "device"):
        store.write_attributes("ml-1m", name, [(f"u{number}", "x") for number in range(5 * OTHERS)])
    store.roll_up()


def _ingest(store: Store, *, user: str = "somebody", others: int = 0) -> None:
    users = [user, *(f"u{number}" for number in range(others))]
    with store.ingesting("ml-1m", "hash", "nowhere", made.START) as writer:
        writer.write_titles([Title("t0", "Heat")])
        writer.write_interactions(users, ["t0"] * len(users), None, None)
        writer.finish(bad_rows=0)
