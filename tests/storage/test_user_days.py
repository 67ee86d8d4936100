from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from time import sleep
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ab_platform.events import SURFACES, AnyEvent, Click, Impression, Watch
from ab_platform.lineage import Launch
from ab_platform.statistics.moments import Moments
from ab_platform.storage import events, partitions, schema, user_days
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.store import PerUser, Population, RolledUp, Store, open_store
from tests.storage.made import END, KEY, START, after, click, definition, impression, started, watch

FAR = date(2100, 1, 1)
COLUMNS = tuple(PerUser(name) for name in ("impressions", "clicks", "clicked", "watch_seconds"))
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

Key = tuple[str, str, date]


@dataclass
class Day:
    """A user-day counted in Python, to compare with the one that the database counted."""

    arm: str
    impressions: int = 0
    clicks: int = 0
    milliseconds: int = 0
    last_at: datetime = LONG_AGO


def stored(store: Store, key: str = KEY) -> dict[Key, Day]:
    with reading(store.engine) as connection:
        rows = connection.execute(select(schema.user_days).where(schema.user_days.c.experiment == key)).all()
    return {
        (row.user_id, row.surface, row.day): Day(
            row.arm, row.impressions, row.clicks, round(row.watch_seconds * 1000), row.last_at
        )
        for row in rows
    }


def open_days(store: Store) -> list[tuple[str, date]]:
    columns = schema.open_user_days.c
    with reading(store.engine) as connection:
        found = connection.execute(select(columns.user_id, columns.day).order_by(columns.user_id, columns.day))
        return [(user, day) for user, day in found]


def first_impressions(happened: Iterable[AnyEvent], launched: Launch) -> dict[tuple[str, str], tuple[datetime, str]]:
    """Return when, and under which arm, each user was exposed on each surface."""
    exposed: dict[tuple[str, str], tuple[datetime, str]] = {}
    for event in happened:
        if isinstance(event, Impression) and launched.starts_at <= event.at < launched.ends_at:
            place = (event.user_id, event.surface)
            exposed[place] = min(exposed.get(place, (event.at, event.arm)), (event.at, event.arm))
    return exposed


def counted(happened: Iterable[AnyEvent], launched: Launch) -> dict[Key, Day]:
    """Count user-days as the design says, one event after another."""
    exposed = first_impressions(happened, launched)
    days: dict[Key, Day] = {}
    for event in happened:
        since, arm = exposed.get((event.user_id, event.surface), (END + timedelta(days=99), ""))
        if since <= event.at < min(launched.ends_at, launched.stopped_at or launched.ends_at):
            day = days.setdefault((event.user_id, event.surface, event.at.date()), Day(arm))
            day.impressions += isinstance(event, Impression)
            day.clicks += isinstance(event, Click)
            day.milliseconds += round(round(event.watch_seconds, 3) * 1000) if isinstance(event, Watch) else 0
            day.last_at = max(day.last_at, event.at)
    return days


def mixed(happened: Iterable[AnyEvent], launched: Launch) -> set[str]:
    """Return the users who were shown several arms."""
    arms: dict[str, set[str]] = defaultdict(set)
    for event in happened:
        if isinstance(event, Impression) and launched.starts_at <= event.at < launched.ends_at:
            arms[event.user_id].add(event.arm)
    return {user for user, shown in arms.items() if len(shown) > 1}


def moments(store: Store, key: str, as_of: date) -> dict[tuple[str, str], Moments]:
    cells = store.cells(Population(key, as_of, "ml-1m"), [COLUMNS])
    return {(cell.surface, cell.arm): cell.sums.moments(COLUMNS) for cell in cells}


def exact_moments(happened: Iterable[AnyEvent], launched: Launch) -> dict[tuple[str, str], Moments]:
    """Take the moments of every user exposed in a single arm, from whole numbers."""
    happened = list(happened)
    left_out = mixed(happened, launched)
    users: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for (user, surface, _), day in counted(happened, launched).items():
        total = totals[user, surface]
        totals[user, surface] = [total[0] + day.impressions, total[1] + day.clicks, total[2] + day.milliseconds]
    for (user, surface), (_, arm) in first_impressions(happened, launched).items():
        if user in left_out:
            continue
        impressions, clicks, milliseconds = totals[user, surface]
        users[surface, arm].append([impressions, clicks, int(clicks > 0), milliseconds])
    return {place: _moments(values) for place, values in users.items()}


def _moments(users: Sequence[Sequence[int]]) -> Moments:
    columns = list(zip(*users, strict=True))
    products = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in columns] for one in columns]
    return Moments.from_exact_sums(len(users), [sum(column) for column in columns], products, scale=[1, 1, 1, 0.001])


def assert_same_moments(found: Mapping[tuple[str, str], Moments], expected: Mapping[tuple[str, str], Moments]) -> None:
    """Compare digit by digit."""
    assert set(found) == set(expected)
    for place, wanted in expected.items():
        assert found[place].n == wanted.n
        assert found[place].means.tolist() == wanted.means.tolist()
        assert found[place].cross.tolist() == wanted.cross.tolist()


def test_a_user_day_adds_up_what_the_user_saw_and_did(store: Store) -> None:
    started(store)
    store.record([impression("u", after(seconds=1), arm="pia"), impression("u", after(seconds=2), mark="2")])
    store.record([click("u", after(seconds=3)), watch("u", after(seconds=4), 1.001), watch("u", after(seconds=5), 0.2)])
    assert store.roll_up(KEY) == RolledUp(1, after(seconds=5), (KEY,))
    assert stored(store) == {("u", "home_card", START.date()): Day("pia", 2, 1, 1201, after(seconds=5))}


def test_a_second_roll_up_does_nothing(store: Store) -> None:
    started(store)
    store.record([impression("u", START)])
    store.roll_up()
    assert open_days(store) == []
    assert store.roll_up() == RolledUp(user_days=0, watermark=START)


def test_without_events_there_is_no_watermark(store: Store) -> None:
    started(store)
    assert store.roll_up(KEY) == RolledUp(user_days=0, watermark=None)
    assert store.watermark(KEY) is None


def test_a_late_event_reopens_its_day(store: Store) -> None:
    started(store)
    store.record([impression("u", START), impression("u", after(days=3)), impression("v", START)])
    store.roll_up(KEY)
    store.record([click("u", after(days=3, seconds=1))])
    assert open_days(store) == [("u", after(days=3).date())]
    assert store.roll_up(KEY).user_days == 1
    assert stored(store)["u", "home_card", after(days=3).date()].clicks == 1


def test_a_duplicate_event_reopens_nothing(store: Store) -> None:
    started(store)
    store.record([impression("u", START)])
    store.roll_up(KEY)
    store.record([impression("u", START)])
    assert open_days(store) == []


def test_an_impression_that_arrives_late_makes_the_clicks_after_it_count(store: Store) -> None:
    started(store)
    store.record([click("u", after(days=2)), impression("u", after(days=4))])
    store.roll_up(KEY)
    assert [day for _, _, day in stored(store)] == [after(days=4).date()]
    store.record([impression("u", after(days=1))])
    store.roll_up(KEY)
    assert sorted(day for _, _, day in stored(store)) == [after(days=number).date() for number in (1, 2, 4)]


def test_events_before_the_exposure_on_their_surface_do_not_count(store: Store) -> None:
    started(store)
    store.record([click("u", after(seconds=1)), impression("u", after(seconds=2)), click("u", after(seconds=2))])
    store.record([click("u", after(seconds=9), surface="movie_card")])
    store.roll_up(KEY)
    assert stored(store) == {("u", "home_card", START.date()): Day("control", 1, 1, 0, after(seconds=2))}


def test_events_outside_the_experiment_do_not_count(store: Store) -> None:
    started(store)
    store.record([click("u", after(seconds=-1)), impression("u", START), click("u", END), impression("u", END)])
    store.roll_up(KEY)
    assert stored(store) == {("u", "home_card", START.date()): Day("control", 1, 0, 0, START)}


def test_a_stop_takes_back_what_came_after_it(store: Store) -> None:
    started(store)
    store.record([impression("u", START), click("u", after(days=1)), click("u", after(days=1, seconds=1))])
    store.record([click("u", after(days=2)), impression("late", after(days=2))])
    store.roll_up(KEY)
    store.stop(KEY, at=after(days=1, seconds=1))
    store.roll_up(KEY)
    assert {(user, day): found.clicks for (user, _, day), found in stored(store).items()} == {
        ("u", START.date()): 0,
        ("u", after(days=1).date()): 1,
    }
    assert store.watermark(KEY) == after(days=1)
    assert [each.users for each in store.first_exposed(Population(KEY, FAR, "ml-1m"))] == [1]


def test_a_roll_up_of_one_experiment_leaves_the_others_open(store: Store) -> None:
    started(store, definition("one", buckets=(0, 10)))
    started(store, definition("two", buckets=(10, 20)))
    store.record([impression("u", START, key="one"), impression("v", after(seconds=1), key="two")])
    assert store.roll_up("one") == RolledUp(1, START, ("one",))
    assert open_days(store) == [("v", START.date())]
    assert store.roll_up() == RolledUp(1, after(seconds=1), ("two",))


def test_small_batches_count_the_same(store: Store) -> None:
    launched = started(store)
    happened = [impression(f"u{number % 5}", after(days=number % 7, seconds=number)) for number in range(70)]
    store.record(happened)
    store.roll_up(KEY, batch=3)
    assert open_days(store) == []
    assert stored(store) == counted(happened, launched)


def test_the_watermark_is_of_the_days_that_are_asked_for(store: Store) -> None:
    started(store)
    store.record([impression("u", START), click("u", after(days=1)), click("u", after(days=2))])
    store.roll_up(KEY)
    assert store.watermark(KEY) == after(days=2)
    assert store.watermark(KEY, after(days=1).date()) == after(days=1)
    assert store.watermark(KEY, after(days=-1).date()) is None


def test_users_are_counted_per_surface_and_once_over_all(store: Store) -> None:
    started(store)
    store.record([impression("u", START), impression("u", after(days=1), surface="movie_card")])
    store.record([impression("v", after(days=2), surface="movie_card")])
    early, late = (Population(KEY, day, "ml-1m") for day in (after(days=1).date(), FAR))
    assert [(each.surface, each.users) for each in store.exposed_by_day(early)] == [("home_card", 1), ("movie_card", 1)]
    assert [(each.day, each.users) for each in store.first_exposed(early)] == [(START.date(), 1)]
    assert [(each.day, each.users) for each in store.first_exposed(late)] == [
        (START.date(), 1),
        (after(days=2).date(), 1),
    ]


def test_a_user_shown_two_arms_counts_until_the_day_of_the_second(store: Store) -> None:
    started(store)
    store.record([impression("u", START), impression("u", after(days=2), arm="pia", surface="movie_card")])
    store.record([impression("v", START)])
    store.roll_up(KEY)
    before, then = after(days=1).date(), after(days=2).date()
    assert (store.mixed_users(KEY, before), store.mixed_users(KEY, then)) == (0, 1)
    users = {day: moments(store, KEY, day)["home_card", "control"].n for day in (before, then)}
    assert users == {before: 2, then: 1}
    assert ("movie_card", "pia") not in moments(store, KEY, FAR)


def test_moments_are_of_the_days_up_to_as_of(store: Store) -> None:
    launched = started(store)
    happened: list[AnyEvent] = [impression("u", START), click("u", after(days=1)), impression("v", after(days=2))]
    happened += [watch("u", after(days=3), 7.001)]
    store.record(happened)
    store.roll_up(KEY)
    assert_same_moments(moments(store, KEY, after(days=1).date()), exact_moments(happened[:2], launched))
    assert_same_moments(moments(store, KEY, FAR), exact_moments(happened, launched))


def test_moments_stay_exact_where_64_bits_would_not_do(store: Store) -> None:
    launched = started(store)
    days, plays, users = 7, 40, 12
    happened: list[AnyEvent] = [impression(f"u{user}", START) for user in range(users)]
    happened += [
        watch(f"u{user}", after(days=day, seconds=user + 1), 86_399.999 - user, mark=str(play))
        for user in range(users)
        for day in range(days)
        for play in range(plays)
    ]
    store.record(happened)
    store.roll_up(KEY)
    expected = exact_moments(happened, launched)
    week = days * plays * 86_399_999
    assert users * week**2 > 2**63
    assert_same_moments(moments(store, KEY, FAR), expected)


USERS = ("u", "v", "w")
MOMENTS = st.one_of(
    st.sampled_from([START, END, START - timedelta(microseconds=1), END - timedelta(microseconds=1)]),
    st.datetimes(datetime(2026, 2, 28), datetime(2026, 3, 9), timezones=st.just(UTC)),
    st.integers(0, 7 * 24).map(lambda hours: START + timedelta(hours=hours)),
)


@st.composite
def histories(draw: st.DrawFn) -> list[AnyEvent]:
    """Draw events of a few users around an experiment, at its edges too, each with an id of its own."""
    happened: list[AnyEvent] = []
    for number in range(draw(st.integers(0, 14))):
        user, surface, at = draw(st.sampled_from(USERS)), draw(st.sampled_from(SURFACES)), draw(MOMENTS)
        match draw(st.sampled_from(("impression", "click", "watch"))):
            case "impression":
                arm = draw(st.sampled_from(("control", "pia")))
                happened.append(impression(user, at, arm=arm, surface=surface, mark=str(number)))
            case "click":
                happened.append(click(user, at, surface=surface, mark=str(number)))
            case _:
                seconds = draw(st.floats(0, 86_400))
                happened.append(watch(user, at, seconds, surface=surface, mark=str(number)))
    return happened


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(happened=histories(), data=st.data())
def test_any_order_any_repetition_and_any_batches_give_the_same_user_days_and_moments(
    store: Store, happened: list[AnyEvent], data: st.DataObject
) -> None:
    key = f"law-{len(store.experiments())}"
    launched = started(store, definition(key, layer=f"layer-{key}"))
    mine = [replace(event, experiment=key, event_id=_own_id(event, key)) for event in happened]
    arrivals = data.draw(st.permutations([*mine, *data.draw(_some(mine))]))
    while arrivals:
        cut = data.draw(st.integers(1, len(arrivals)))
        store.record(arrivals[:cut])
        arrivals = arrivals[cut:]
        if data.draw(st.booleans()):
            store.roll_up(key, batch=data.draw(st.integers(1, 5)))
    if data.draw(st.booleans()):
        launched = replace(launched, stopped_at=data.draw(MOMENTS.filter(lambda at: at >= START)))
        assert launched.stopped_at is not None
        store.stop(key, at=launched.stopped_at)
    store.roll_up(key)
    assert stored(store, key) == counted(mine, launched)
    assert_same_moments(moments(store, key, FAR), exact_moments(_until_the_stop(mine, launched), launched))


def _own_id(event: AnyEvent, key: str) -> Any:
    return type(event.event_id)(int=event.event_id.int ^ (hash(key) & 0xFFFFFFFF))


def _some(mine: list[AnyEvent]) -> st.SearchStrategy[list[AnyEvent]]:
    return st.lists(st.sampled_from(mine), max_size=6) if mine else st.just([])


def _until_the_stop(happened: list[AnyEvent], launched: Launch) -> list[AnyEvent]:
    """Leave out what happened after the stop: who was exposed only then does not count."""
    return [event for event in happened if event.at < (launched.stopped_at or END + timedelta(days=9))]


def test_a_day_that_an_unfinished_transaction_adds_to_stays_open(store: Store, url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    started(store)
    store.record([impression("u", START), impression("v", START)])
    with writing(store.engine) as writer:
        events.record_each(writer, [click("u", after(seconds=1))], partitions.Days())
        other = open_store(url, migrate=False)
        assert other.roll_up(KEY).user_days == 1
        assert open_days(other) == [("u", START.date())]
        other.close()
    store.roll_up(KEY)
    assert {user: day.clicks for (user, *_), day in stored(store).items()} == {"u": 1, "v": 0}


def test_an_event_that_arrives_while_a_roll_up_runs_opens_its_day_again(store: Store, url: str) -> None:
    started(store)
    store.record([impression("u", START)])
    other = open_store(url, migrate=False)
    with ThreadPoolExecutor(1) as pool:
        with writing(store.engine) as roller:
            assert user_days.roll_up(roller, KEY, batch=100).counted == 1
            waiting = pool.submit(other.record, [click("u", after(seconds=1))])
            sleep(0.2)
            assert not waiting.done()
        assert waiting.result(timeout=30).stored == 1
    other.close()
    assert open_days(store) == [("u", START.date())]
    store.roll_up(KEY)
    assert stored(store)["u", "home_card", START.date()].clicks == 1


def test_an_exposure_that_commits_after_a_later_click_was_rolled_up_makes_it_count(store: Store, url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    started(store)
    other = open_store(url, migrate=False)
    store.make_partitions(since=START.date(), days=1)
    with writing(store.engine) as writer:
        events.record_each(writer, [impression("u", START)], partitions.Days())
        other.record([click("u", after(days=2))])
        other.roll_up(KEY)
    assert stored(store) == {}
    store.roll_up(KEY)
    assert stored(store)["u", "home_card", after(days=2).date()].clicks == 1
    other.close()


def test_roll_ups_at_once_count_what_one_alone_would(store: Store, url: str) -> None:
    launched = started(store)
    happened = [impression(f"u{number % 40}", after(days=number % 7, seconds=number)) for number in range(400)]
    store.record(happened)
    stores = [open_store(url, migrate=False) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda each: each.roll_up(KEY, batch=20), stores))
    assert stored(store) == counted(happened, launched)
    assert open_days(store) == []
    for each in stores:
        each.close()
