"""Checks of the data: what each finds, at which threshold, and what it says to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import get_args

import pytest

from ab_platform.analysis import analyze
from ab_platform.analysis.checks import Data, checks
from ab_platform.events import SURFACES, Surface
from ab_platform.experiment import Arm
from ab_platform.lineage import Change, Launch
from ab_platform.results import Check, CheckName, Look, SampleRatioRow
from ab_platform.simulation.plan import Plan
from ab_platform.simulation.running import simulate
from ab_platform.storage.store import DayCount, ExposedOn, Store
from tests.analysis.made import KEY, START, definition, launched, visits

FIRST = START.date()
LAST = FIRST + timedelta(days=6)
WATERMARK = datetime.combine(LAST, datetime.min.time(), START.tzinfo) + timedelta(hours=23)
LAUNCH = Launch(definition(), {}, "running", 1.0, START, START, START + timedelta(days=7))


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def count(surface: Surface, arm: str, on: date, *, users: int = 100, fallback_slates: int = 0) -> DayCount:
    last_at = datetime.combine(on, datetime.min.time(), START.tzinfo) + timedelta(hours=23)
    return DayCount(surface, arm, on, users, 10 * users, users, fallback_slates, last_at)


COUNTS = tuple(
    count(surface, arm, day(number)) for surface in SURFACES for arm in ("old", "new") for number in range(1, 8)
)
EXPOSED = tuple(
    ExposedOn(surface, arm, day(number), 50) for surface in SURFACES for arm in ("old", "new") for number in range(1, 8)
)


def look(*, users: int = 700, mixed: int = 0, as_of: date = LAST, watermark: datetime = WATERMARK) -> Look:
    return Look(KEY, as_of, watermark, users, mixed, ())


def found(
    counts: Sequence[DayCount] = COUNTS,
    *,
    seen: Look | None = None,
    exposed: Sequence[ExposedOn] = EXPOSED,
    launch: Launch = LAUNCH,
    changes: Sequence[Change] = (),
    splits: Sequence[SampleRatioRow] = (),
) -> dict[tuple[CheckName, str], Check]:
    made = checks(Data(launch, changes, seen or look(), counts, exposed, splits))
    assert len({(each.check, each.scope) for each in made}) == len(made)
    return {(each.check, each.scope): each for each in made}


def test_where_nothing_is_wrong_every_check_says_so_with_its_figure() -> None:
    made = found()
    assert {name for name, _ in made} == set(get_args(CheckName))
    assert {each.status for each in made.values()} == {"healthy"}
    assert {each.next_step for each in made.values()} == {None}
    assert all(each.value is not None for each in made.values())


@pytest.mark.parametrize(
    ("mixed", "status"), [(0, "healthy"), (100, "healthy"), (101, "warning"), (1_000, "warning"), (1_001, "unhealthy")]
)
def test_users_of_several_arms_warn_beyond_one_in_a_thousand_and_are_unhealthy_where_the_decision_says_so(
    mixed: int, status: str
) -> None:
    check = found(seen=look(users=100_000 - mixed, mixed=mixed))["mixed_users", "all"]
    assert (check.status, check.value) == (status, mixed / 100_000)
    assert f"{mixed:,} of 100,000 users" in check.told


@pytest.mark.parametrize(
    ("before_midnight", "status"),
    [(1, "healthy"), (3, "healthy"), (4, "unknown"), (26, "unknown"), (28, "warning"), (49, "unhealthy")],
)
def test_the_newest_event_is_bounded_by_the_begin_and_the_end_of_the_last_day(
    before_midnight: int, status: str
) -> None:
    newest = START + timedelta(days=7, hours=-before_midnight)
    check = found(seen=look(watermark=newest))["logging_delay", "all"]
    assert (check.status, check.value) == (status, 3600.0 * before_midnight)
    if status == "unknown":
        assert "when events arrive is not stored" in check.told


def test_after_the_experiments_end_no_events_are_waited_for() -> None:
    ended = replace(LAUNCH, state="stopped", stopped_at=START + timedelta(days=3))
    newest = START + timedelta(days=3, hours=-1)
    counts = [each for each in COUNTS if each.day < day(4)]
    made = found(counts, seen=look(watermark=newest), launch=ended)
    assert (made["logging_delay", "all"].status, made["logging_delay", "all"].value) == ("healthy", 3600.0)
    assert made["missing_data", "home_card"].status == "healthy"


def test_an_arm_whose_events_stopped_while_those_of_others_go_on_is_told_of() -> None:
    counts = [each for each in COUNTS if each.arm == "old" or each.day < LAST]
    made = found(counts)
    assert made["logging_delay", "new"].status == "warning"
    assert made["logging_delay", "new"].value == 86_400.0
    assert ("logging_delay", "old") not in made
    long_ago = found([each for each in counts if each.arm == "old" or each.day < day(5)])
    assert long_ago["logging_delay", "new"].status == "unhealthy"


def test_a_pause_that_few_users_make_by_chance_is_not_told_of() -> None:
    few = [replace(each, users=1) for each in COUNTS if each.arm == "old" or each.day < LAST]
    assert ("logging_delay", "new") not in found(few)


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (1, 1, "healthy"),
        (1, 2, "warning"),
        (3, 3, "warning"),
        (5, 6, "unhealthy"),
        (0, 3, "unhealthy"),
    ],
)
def test_fallbacks_are_held_against_the_arm_that_has_many_or_more_than_the_other(
    old: int, new: int, status: str
) -> None:
    fallbacks = {"old": old, "new": new}
    made = found([replace(each, fallback_slates=fallbacks[each.arm]) for each in COUNTS])
    assert (made["fallbacks", "new"].status, made["fallbacks", "new"].value) == (status, new / 100)


def test_an_arm_without_a_slate_has_no_share_of_fallbacks() -> None:
    check = found([each for each in COUNTS if each.arm == "old"])["fallbacks", "new"]
    assert (check.status, check.value) == ("unknown", None)
    assert check.next_step


def test_a_difference_of_fallbacks_that_may_be_chance_is_not_held_against_the_arm() -> None:
    few = [replace(each, slates=3, fallback_slates=0) for each in COUNTS]
    few[-1] = replace(few[-1], fallback_slates=1)  # of 42 slates
    assert found(few)["fallbacks", "new"].status == "warning"


def test_days_without_events_are_named() -> None:
    made = found([each for each in COUNTS if each.surface == "home_card" or each.day != day(3)])
    assert made["missing_data", "home_card"].status == "healthy"
    movie = made["missing_data", "movie_card"]
    assert movie.status == "warning"
    assert movie.value == pytest.approx(1 / 6)
    assert f"none on {day(3)}" in movie.told


def test_many_days_without_events_are_unhealthy_and_the_last_day_may_not_be_over() -> None:
    counts = [each for each in COUNTS if each.day not in (day(2), day(3), LAST)]
    check = found(counts)["missing_data", "home_card"]
    assert check.status == "unhealthy"
    assert check.value == pytest.approx(2 / 6)


def test_where_few_users_come_a_day_without_any_cannot_be_told_from_chance() -> None:
    counts = [replace(each, users=2) for each in COUNTS if each.day != day(3)]
    check = found(counts)["missing_data", "home_card"]
    assert check.status == "unknown"
    assert "may be chance" in check.told


def test_on_the_first_day_no_whole_day_is_there_to_be_missed() -> None:
    seen = look(as_of=FIRST, watermark=START + timedelta(hours=5))
    check = found([each for each in COUNTS if each.day == FIRST], seen=seen)["missing_data", "home_card"]
    assert (check.status, check.value) == ("unknown", None)


def test_days_without_traffic_need_no_events() -> None:
    ramps = [
        Change(KEY, START + timedelta(days=number - 1, hours=1), "ramp", {}, {"traffic": traffic}, None)
        for number, traffic in ((3, 0.0), (5, 1.0))
    ]
    counts = [each for each in COUNTS if each.day not in (day(3), day(4))]
    assert found(counts, changes=ramps)["missing_data", "home_card"].status == "healthy"


def test_an_arm_whose_users_see_far_fewer_impressions_is_told_of() -> None:
    def lost(share: float) -> list[DayCount]:
        return [
            replace(each, impressions=round(each.impressions * (1 - share))) if each.arm == "new" else each
            for each in COUNTS
        ]

    assert ("missing_data", "home_card new") not in found(lost(0.2))
    some, many = (found(lost(share))["missing_data", "home_card new"] for share in (0.3, 0.6))
    assert (some.status, many.status) == ("warning", "unhealthy")
    assert some.value == pytest.approx(0.3)
    assert "20 impressions on Home Card" not in some.told
    assert "14 impressions on Home Card, 30 % fewer than the 20 of one of old" in some.told


def test_where_the_split_alarms_the_arm_that_falls_short_says_by_how_much() -> None:
    split = SampleRatioRow(
        KEY, LAST, "home_card", WATERMARK, ("old", "new"), (1000, 800), (900.0, 900.0), 22.0, 2e-6, 9e3, True, "p small"
    )
    check = found(splits=[split])["missing_data", "home_card new"]
    assert check.status == "unhealthy"
    assert check.value == pytest.approx(1 / 9)
    assert "100 users fewer on Home Card than its weight promises, 11 % of them" in check.told
    assert check.next_step == f"find who is missing: `abp srm diagnose {KEY}`"
    assert ("missing_data", "home_card new") not in found(splits=[replace(split, alarm=False)])


def test_a_surface_and_an_arm_without_users_are_named() -> None:
    exposed = [each for each in EXPOSED if each.surface == "home_card" and each.arm == "old"]
    made = found([each for each in COUNTS if each.surface == "home_card" and each.arm == "old"], exposed=exposed)
    assert made["no_data", "movie_card"].status == "unhealthy"
    assert made["no_data", "home_card new"].status == "unhealthy"
    assert ("no_data", "all") not in made


def test_a_handful_of_users_may_all_be_of_one_arm() -> None:
    exposed = [ExposedOn(surface, "old", FIRST, 3) for surface in SURFACES]
    made = found([each for each in COUNTS if each.arm == "old"], exposed=exposed)
    assert made["no_data", "home_card new"].status == "warning"


def test_an_arm_of_weight_0_is_not_missed() -> None:
    arms = (*LAUNCH.experiment.arms, Arm("parked", "popularity", 0.0, seed=2))
    launch = replace(LAUNCH, experiment=replace(LAUNCH.experiment, arms=arms))
    assert {each.status for each in found(launch=launch).values()} == {"healthy"}


def test_the_checks_come_from_what_is_stored(store: Store) -> None:
    launch = launched(store, definition())
    events = [each for each in visits(launch, 200) if each.at.date() != day(3)]
    store.record(events)
    made = {(each.check, each.scope): each for each in analyze(store, KEY).checks}
    assert made["mixed_users", "all"].value == 0.0
    assert made["missing_data", "home_card"].value == pytest.approx(1 / 6)
    shown = [each for each in events if type(each).__name__ == "Impression" and each.arm == "new"]
    slates = {each.slate_id: each.served_by for each in shown}  # type: ignore[union-attr]
    assert made["fallbacks", "new"].value == sum(by == "popularity" for by in slates.values()) / len(slates)


@pytest.mark.parametrize(
    ("world", "users", "healthy"),
    [
        ("table2", 2_000, True),
        ("no-effect", 2_000, True),
        ("uneven-split", 2_000, True),
        ("lost-logging", 8_000, False),
    ],
)
def test_a_sound_world_is_healthy_and_one_that_loses_impressions_is_not(
    store: Store, world: str, users: int, healthy: bool
) -> None:
    at = START + timedelta(days=10)
    made = simulate(store, Plan(world, users=users, before=False, covariates=()), at=at).readout.checks
    assert ({each.status for each in made} == {"healthy"}) is healthy
    if not healthy:
        assert {each.scope for each in made if each.status == "unhealthy"} & {"home_card new", "movie_card new"}
