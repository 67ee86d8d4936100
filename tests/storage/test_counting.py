"""What a user-day counts beyond views, clicks and seconds, against a count in Python."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid5

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ab_platform.events import AnyEvent, Click, Impression, Watch, event_id
from ab_platform.lineage import Launch
from ab_platform.storage import schema
from ab_platform.storage.connection import reading
from ab_platform.storage.store import Store
from tests.storage.made import KEY, START, after, definition, started

MEASURES = (
    "slates",
    "visits",
    "clicked_slates",
    "titles_watched",
    "first_click_seconds",
    "reciprocal_ranks",
    "fallback_slates",
    "timed_slates",
    "latency_ms",
)
NAMES = UUID(int=0)

Day = tuple[str, date]


def slate(
    user: str,
    at: datetime,
    titles: str,
    *,
    key: str = KEY,
    served_by: str = "control",
    latency_ms: float | None = None,
    surface: str = "home_card",
) -> list[Impression]:
    """Show titles, a letter each, in order."""
    slate_id = uuid5(NAMES, f"{key}/{user}/{at.isoformat()}/{titles}/{surface}")
    return [
        Impression(
            event_id(at, f"{slate_id}/{place}"),
            key,
            user,
            "control",
            surface,  # type: ignore[arg-type]
            title,
            at,
            slate_id,
            place,
            served_by,
            latency_ms,
        )
        for place, title in enumerate(titles)
    ]


def clicked(shown: Impression, *, seconds: float) -> Click:
    at = shown.at + timedelta(seconds=seconds)
    identity = event_id(at, f"{shown.event_id}/click/{seconds}")
    return Click(
        identity, shown.experiment, shown.user_id, shown.arm, shown.surface, shown.title_id, at, shown.event_id
    )


def watched(shown: Impression, *, seconds: float) -> Watch:
    at = shown.at + timedelta(seconds=seconds)
    identity = event_id(at, f"{shown.event_id}/watch/{seconds}")
    common = (shown.experiment, shown.user_id, shown.arm, shown.surface, shown.title_id, at, shown.event_id)
    return Watch(identity, *common, 10.0)


def stored(store: Store, key: str = KEY) -> dict[Day, dict[str, float]]:
    with reading(store.engine) as connection:
        rows = connection.execute(select(schema.user_days).where(schema.user_days.c.experiment == key)).mappings().all()
    return {(row["user_id"], row["day"]): {name: float(row[name]) for name in MEASURES} for row in rows}


def test_a_slate_is_counted_once_however_many_titles_it_shows(store: Store) -> None:
    started(store)
    store.record([*slate("u", START, "abc"), *slate("u", after(seconds=60), "de")])
    store.roll_up(KEY)
    assert stored(store)["u", START.date()]["slates"] == 2


def test_a_visit_begins_after_half_an_hour_without_a_slate_also_over_midnight(store: Store) -> None:
    started(store)
    late = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)
    moments = [START, after(seconds=1_800), after(seconds=3_601), late, late + timedelta(minutes=20)]
    store.record([shown for at in moments for shown in slate("u", at, "a")])
    store.roll_up(KEY)
    found = stored(store)
    assert (found["u", START.date()]["visits"], found["u", after(days=1).date()]["visits"]) == (3, 0)


def test_the_rank_and_the_wait_are_those_of_the_clicked_title(store: Store) -> None:
    started(store)
    shown = slate("u", START, "abcd")
    store.record([*shown, clicked(shown[3], seconds=40.9), clicked(shown[1], seconds=12.2)])
    store.roll_up(KEY)
    day = stored(store)["u", START.date()]
    assert day["reciprocal_ranks"] == 0.75
    assert (day["clicked_slates"], day["first_click_seconds"]) == (1, 12)


def test_a_slate_clicked_on_two_days_counts_on_the_first_and_each_rank_on_its_own(store: Store) -> None:
    started(store)
    shown = slate("u", START, "abcd")
    store.record([*shown, clicked(shown[3], seconds=86_400)])
    store.roll_up(KEY)
    store.record([clicked(shown[1], seconds=5), clicked(shown[0], seconds=2 * 86_400)])
    store.roll_up(KEY)
    days = [stored(store)["u", after(days=day).date()] for day in (0, 1, 2)]
    assert [(day["clicked_slates"], day["first_click_seconds"]) for day in days] == [(1, 5), (0, 0), (0, 0)]
    assert [day["reciprocal_ranks"] for day in days] == [0.5, 0.25, 1.0]


def test_a_click_on_what_was_never_logged_has_no_rank(store: Store) -> None:
    started(store)
    shown = slate("u", START, "ab")
    lost = replace(shown[1], event_id=event_id(START, "lost"))
    store.record([*shown, clicked(lost, seconds=5)])
    store.roll_up(KEY)
    day = stored(store)["u", START.date()]
    assert (day["reciprocal_ranks"], day["clicked_slates"]) == (0, 0)


def test_a_title_watched_on_two_days_counts_on_the_first(store: Store) -> None:
    started(store)
    shown = slate("u", START, "ab")
    store.record(
        [*shown, watched(shown[0], seconds=5), watched(shown[0], seconds=86_400), watched(shown[1], seconds=9)]
    )
    store.roll_up(KEY)
    found = stored(store)
    assert [found["u", after(days=day).date()]["titles_watched"] for day in (0, 1)] == [2, 0]


def test_a_late_watch_moves_the_title_to_its_day(store: Store) -> None:
    started(store)
    shown = slate("u", START, "a")
    store.record([*shown, watched(shown[0], seconds=2 * 86_400)])
    store.roll_up(KEY)
    store.record([watched(shown[0], seconds=86_400)])
    store.roll_up(KEY)
    found = stored(store)
    assert [found["u", after(days=day).date()]["titles_watched"] for day in (0, 1, 2)] == [0, 1, 0]


def test_slates_of_the_fallback_and_their_latency_are_counted(store: Store) -> None:
    started(store)
    store.record(slate("u", START, "ab", served_by="popularity", latency_ms=12.5))
    store.record(slate("u", after(seconds=9), "ab", latency_ms=7.25))
    store.record(slate("u", after(seconds=19), "ab"))
    store.roll_up(KEY)
    day = stored(store)["u", START.date()]
    assert (day["slates"], day["fallback_slates"]) == (3, 1)
    assert (day["timed_slates"], day["latency_ms"]) == (2, 19.75)


def counted(happened: list[AnyEvent], launched: Launch) -> dict[Day, dict[str, float]]:
    """Count one event after another; every user is on one surface from the first impression on."""
    exposed: dict[str, datetime] = {}
    for event in happened:
        if isinstance(event, Impression):
            exposed[event.user_id] = min(event.at, exposed.get(event.user_id, event.at))
    counting = [event for event in happened if event.user_id in exposed and event.at >= exposed[event.user_id]]
    days: dict[Day, dict[str, float]] = {
        (event.user_id, event.at.date()): dict.fromkeys(MEASURES, 0.0) for event in counting
    }
    shown = {event.event_id: event for event in counting if isinstance(event, Impression)}
    _count_slates(list(shown.values()), days)
    _count_clicks([event for event in counting if isinstance(event, Click)], shown, days)
    first: dict[tuple[str, str], datetime] = {}
    for event in counting:
        if isinstance(event, Watch):
            first[event.user_id, event.title_id] = min(event.at, first.get((event.user_id, event.title_id), event.at))
    for (user, _), at in first.items():
        days[user, at.date()]["titles_watched"] += 1
    return days


def _count_slates(impressions: list[Impression], days: dict[Day, dict[str, float]]) -> None:
    slates: dict[tuple[str, UUID], list[Impression]] = defaultdict(list)
    for event in impressions:
        slates[event.user_id, event.slate_id].append(event)
    last: dict[str, int] = {}
    for (user, _), titles in sorted(slates.items(), key=lambda each: (each[1][0].at, each[0][1].hex)):
        day = days[user, titles[0].at.date()]
        second = int(titles[0].at.timestamp())
        day["slates"] += 1
        day["visits"] += user not in last or second - last[user] > 1_800
        day["fallback_slates"] += titles[0].served_by != titles[0].arm
        day["timed_slates"] += titles[0].latency_ms is not None
        day["latency_ms"] += titles[0].latency_ms or 0.0
        last[user] = second


def _count_clicks(clicks: list[Click], shown: dict[UUID, Impression], days: dict[Day, dict[str, float]]) -> None:
    of_slate: dict[tuple[str, UUID], list[Click]] = defaultdict(list)
    for click in clicks:
        if click.impression_id in shown:
            of_slate[click.user_id, shown[click.impression_id].slate_id].append(click)
    for (user, _), its in of_slate.items():
        first = min(its, key=lambda click: click.at)
        day = days[user, first.at.date()]
        day["clicked_slates"] += 1
        for click in its:
            steps = round(1e6 / (shown[click.impression_id].position + 1))
            days[user, click.at.date()]["reciprocal_ranks"] += steps / 1e6
        day["first_click_seconds"] += int(first.at.timestamp()) - int(shown[first.impression_id].at.timestamp())


@st.composite
def weeks(draw: st.DrawFn) -> list[AnyEvent]:
    """Draw slates of two users with clicks and watches, some at the same moment, some around midnight."""
    happened: list[AnyEvent] = []
    for number in range(draw(st.integers(1, 6))):
        at = START + timedelta(minutes=draw(st.integers(0, 200)) * 23, milliseconds=draw(st.integers(0, 1_999)))
        shown = slate(
            draw(st.sampled_from("uv")),
            at,
            draw(st.sampled_from(["a", "ab", "abc"])),
            key=f"{number}",
            served_by=draw(st.sampled_from(["control", "popularity"])),
            latency_ms=draw(st.none() | st.integers(0, 10_000).map(lambda ms: ms / 8)),
        )
        happened += shown
        for place in draw(st.lists(st.integers(0, len(shown) - 1), max_size=3)):
            seconds = draw(st.integers(1, 200_000)) / 2
            happened.append(
                clicked(shown[place], seconds=seconds)
                if draw(st.booleans())
                else watched(shown[place], seconds=seconds)
            )
    return happened


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(happened=weeks(), data=st.data())
def test_any_order_and_any_batches_count_what_python_counts(
    store: Store, happened: list[AnyEvent], data: st.DataObject
) -> None:
    key = f"law-{len(store.experiments())}"
    launched = started(store, definition(key, layer=f"layer-{key}"))
    mine = [replace(event, experiment=key, event_id=_own(event.event_id, key)) for event in happened]
    mine = [
        event if isinstance(event, Impression) else replace(event, impression_id=_own(event.impression_id, key))
        for event in {event.event_id: event for event in mine}.values()
    ]
    arrivals = data.draw(st.permutations(mine))
    cut = data.draw(st.integers(0, len(arrivals)))
    store.record(arrivals[:cut])
    store.roll_up(key)
    store.record(arrivals[cut:])
    store.roll_up(key, batch=data.draw(st.integers(1, 5)))
    within = [event for event in mine if event.at < launched.ends_at]
    found = stored(store, key)
    expected = counted(within, launched)
    assert set(found) == set(expected)
    for day, measures in expected.items():
        assert found[day] == {name: round(value, 6) for name, value in measures.items()}


def _own(identity: UUID, key: str) -> UUID:
    return UUID(int=identity.int ^ (hash(key) & 0xFFFFFFFF))
