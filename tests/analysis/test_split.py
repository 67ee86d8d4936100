"""The split in every scope: overall, per surface, per phase and per segment, against the buckets that were in force."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from ab_platform.analysis.split import split_rows
from ab_platform.experiment import Arm
from ab_platform.lineage import Change, Launch, Phase, phases
from ab_platform.results import SampleRatioRow
from ab_platform.storage.store import ExposedOn, FirstExposed
from tests.analysis.made import KEY, START, definition

FIRST = START.date()


def launch(*weights: float, traffic: float = 1.0) -> Launch:
    names = ("old", "new", "newer")
    arms = tuple(
        Arm(name, "popularity", weight, control=name == "old") for name, weight in zip(names, weights, strict=False)
    )
    experiment = definition(arms=arms, traffic=traffic) if weights else definition(traffic=traffic)
    return Launch(experiment, {}, "running", traffic, START, START, START + timedelta(days=7))


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def ramp(number: int, traffic: float) -> Change:
    return Change(KEY, START + timedelta(days=number - 1, hours=3), "ramp", {}, {"traffic": traffic}, None)


def checked(
    launched: Launch,
    first: Sequence[FirstExposed],
    *,
    exposed: Sequence[ExposedOn] = (),
    changes: Sequence[Change] = (),
    dimensions: Sequence[str] = (),
) -> dict[str, SampleRatioRow]:
    rows = split_rows(launched, changes, exposed, first, dimensions, as_of=day(7), watermark=START)
    return {row.scope: row for row in rows}


def users(old: int, new: int, *, on: int = 1, segments: tuple[str, ...] = ()) -> list[FirstExposed]:
    return [FirstExposed("old", day(on), segments, old), FirstExposed("new", day(on), segments, new)]


def test_the_users_of_all_days_are_tested_together_with_both_numbers() -> None:
    row = checked(launch(), [*users(500, 480), *users(300, 330, on=2)])["all"]
    assert (row.arms, row.counts, row.expected) == (("old", "new"), (800, 810), (805.0, 805.0))
    assert row.p_value is not None
    assert row.e_value is not None
    assert not row.alarm


def test_an_arm_without_users_is_an_alarm_and_not_left_out() -> None:
    row = checked(launch(), users(500, 0)[:1])["all"]
    assert (row.counts, row.alarm) == ((500, 0), True)


def test_users_in_an_arm_of_weight_0_are_an_error_of_their_own() -> None:
    row = checked(launch(0.5, 0.5, 0.0), [*users(500, 500), FirstExposed("newer", day(1), (), 3)])["all"]
    assert row.alarm
    assert row.reason is not None
    assert "weight 0 but 3 users" in row.reason


def test_users_outside_the_experiment_are_no_part_of_the_ratio() -> None:
    # Nine of ten users are held out: of those who are in, half is in each arm.
    row = checked(launch(traffic=0.1), users(505, 495))["all"]
    assert (row.expected, row.alarm) == ((500.0, 500.0), False)


def test_each_surface_is_tested_by_itself() -> None:
    exposed = [
        ExposedOn("home_card", "old", day(1), 500),
        ExposedOn("home_card", "new", day(1), 500),
        ExposedOn("movie_card", "old", day(1), 300),
        ExposedOn("movie_card", "new", day(1), 100),
    ]
    found = checked(launch(), users(500, 500), exposed=exposed)
    assert [found[scope].alarm for scope in ("all", "home_card", "movie_card")] == [False, False, True]


def test_a_ramp_begins_a_phase_and_each_phase_is_tested() -> None:
    first = [*users(50, 52), *users(400, 410, on=3)]
    found = checked(launch(traffic=0.1), first, changes=[ramp(3, 1.0)])
    assert [scope for scope in found if scope.startswith("phase")] == [
        "phase 1, traffic 10 %",
        "phase 2, traffic 100 %",
    ]
    assert found["phase 2, traffic 100 %"].counts == (400, 410)
    assert found["all"].counts == (450, 462)


def test_what_a_phase_expects_are_the_buckets_that_were_in_force() -> None:
    # At a traffic of .0003 the arms of 9,000 and 1,000 buckets are left with 3 and 0: rounded, and so expected.
    found = checked(launch(0.9, 0.1, traffic=0.0003), users(40, 0), changes=[ramp(2, 1.0)])
    assert found["phase 1, traffic 0.03 %"].reason == "1 arm has a positive weight; a ratio needs at least 2"


def test_two_ramps_on_a_day_leave_the_last() -> None:
    assert phases(launch(), [ramp(2, 0.5), ramp(2, 0.7), ramp(4, 1.0)]) == (
        Phase(day(1), 1.0),
        Phase(day(2), 0.7),
        Phase(day(4), 1.0),
    )


def test_a_loss_in_one_segment_is_found_there() -> None:
    first = [*users(500, 500, segments=("phone",)), *users(500, 380, segments=("tv",))]
    found = checked(launch(), first, dimensions=["device"])
    assert [found[scope].alarm for scope in ("device phone", "device tv")] == [False, True]


def test_segments_share_the_level_at_which_they_alarm() -> None:
    # p = .0008: an alarm where it is the only test, none where it is one of fifty.
    first = [*users(1_106, 955, segments=("s00",))]
    assert checked(launch(), first, dimensions=["shelf"])["shelf s00"].alarm
    many = [*first, *(each for number in range(1, 50) for each in users(500, 500, segments=(f"s{number:02d}",)))]
    assert not checked(launch(), many, dimensions=["shelf"])["shelf s00"].alarm


def test_nobody_is_unknown_and_not_healthy() -> None:
    row = checked(launch(), [])["all"]
    assert (row.p_value, row.alarm) == (None, False)
    assert row.reason is not None
