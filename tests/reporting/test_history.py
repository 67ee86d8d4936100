"""How a lift came to be: which days there are, which of them may be acted on, and how each is told."""

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.events import Surface
from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.lineage import Change, Launch, Phase
from ab_platform.metrics import metric
from ab_platform.reporting.history import adjusted_for, as_csv, calendar, counting, days, missing, printed_row, runs
from ab_platform.reporting.printed import printed
from ab_platform.reporting.story import describe, on_one_axis, story
from ab_platform.reporting.viewing import View
from tests.readouts import ROWS, lift_row, readout
from tests.reporting.histories import CALENDAR, DAYS, FIRST, LIFTS, views

KEY: tuple[Surface, str, str] = ("home_card", "play_duration", "pia")
PLAY = metric("play_duration")
ROW = replace(ROWS[0], variance_saved=None)

LAUNCH = Launch(
    Experiment("one", DataRule("small"), (Arm("old", "popularity", 0.5, control=True), Arm("new", "ease", 0.5))),
    artifacts={},
    state="running",
    traffic=1.0,
    launched_at=datetime(2025, 3, 3, tzinfo=UTC),
    starts_at=datetime(2025, 3, 3, tzinfo=UTC),
    ends_at=datetime(2025, 3, 10, tzinfo=UTC),
)


def test_days_come_in_order_with_both_intervals_of_the_row_that_was_asked_for() -> None:
    others = (*views(metric="click_rate_per_view"), *views("movie_card"), *views(arm="ract"))
    found = days((*reversed(views()), *others), KEY, covariates=False)
    assert [day.as_of for day in found] == list(DAYS)
    assert [day.fixed.lift for day in found] == list(LIFTS)
    for day in found:
        assert day.fixed.monitoring == "fixed"
        assert day.sequential is not None
        assert day.sequential.low < day.fixed.low < day.fixed.high < day.sequential.high  # type: ignore[operator]


def test_covariates_are_chosen_and_a_day_without_them_is_not_there() -> None:
    history = (*views(covariates=(True, False), days=DAYS[2:]), *views(days=DAYS[:2]))
    with_them, without = (days(history, KEY, covariates=each) for each in (True, False))
    assert [day.as_of for day in with_them] == list(DAYS[2:])
    assert [day.as_of for day in without] == list(DAYS)
    assert with_them[0].fixed.high < without[2].fixed.high  # type: ignore[operator]
    assert adjusted_for(history, KEY) == (True, False)
    assert adjusted_for(views(), KEY) == (False,)


def test_views_against_another_baseline_do_not_mix_with_those_against_the_control() -> None:
    other = tuple(replace(view, baseline="ract") for view in views(lifts=(0.5,) * 7))
    found = days((*views(), *other), KEY, covariates=False, baseline="multi_vae")
    assert [day.fixed.lift for day in found] == list(LIFTS)


@given(st.sets(st.integers(min_value=0, max_value=6), min_size=1))
def test_runs_hold_every_day_once_and_break_where_days_are_missing(there: set[int]) -> None:
    found = days(views(days=[DAYS[number] for number in there]), KEY, covariates=False)
    divided = runs(found)
    assert [day for run in divided for day in run] == list(found)
    for run in divided:
        assert [day.as_of - run[0].as_of for day in run] == [timedelta(days=number) for number in range(len(run))]
    for one, other in pairwise(divided):
        assert other[0].as_of - one[-1].as_of > timedelta(days=1)
    absent = missing(found, CALENDAR)
    assert set(absent) == {DAYS[number] for number in range(max(there)) if number not in there}


def test_nothing_is_missing_where_nothing_was_analysed() -> None:
    assert missing((), CALENDAR) == ()


def test_a_calendar_has_the_planned_days_and_every_change_of_traffic() -> None:
    ramp = Change("one", datetime(2025, 3, 5, 9, tzinfo=UTC), "ramp", {"traffic": 1.0}, {"traffic": 0.5}, None)
    found = calendar(LAUNCH, [ramp])
    assert (found.first, found.last, found.stopped) == (FIRST, date(2025, 3, 9), None)
    assert found.ramp == (Phase(FIRST, 1.0), Phase(date(2025, 3, 5), 0.5))
    assert found.number(date(2025, 3, 5)) == 3


def test_a_stop_is_marked_where_it_came_before_the_planned_end() -> None:
    for day, shown in ((6, date(2025, 3, 6)), (9, None), (25, None)):
        stopped = replace(LAUNCH, state="stopped", stopped_at=datetime(2025, 3, day, 12, tzinfo=UTC))
        assert calendar(stopped, []).stopped == shown


@pytest.mark.parametrize(
    ("monitoring", "day", "counts"),
    [
        ("fixed", DAYS[5], "sequential"),
        ("fixed", DAYS[6], "fixed"),
        ("sequential", DAYS[6], "sequential"),
        ("group_sequential", DAYS[6], "sequential"),
    ],
)
def test_one_look_counts_at_the_planned_end_alone_and_only_where_it_is_the_rule(
    monitoring: str, day: date, counts: str
) -> None:
    found = next(each for each in days(views(), KEY, covariates=False) if each.as_of == day)
    assert counting(found, monitoring, CALENDAR) == counts  # type: ignore[arg-type]


def test_a_day_is_told_by_the_interval_that_counts() -> None:
    told = story(views(), ROW, PLAY, CALENDAR)
    # From day 5 on the one-look interval leaves out 0, and the sequence does on none.
    assert [day.day.fixed.low > 0 for day in told.told] == [False] * 4 + [True] * 3  # type: ignore[operator]
    assert [day.tone for day in told.told] == ["no"] * 6 + ["better"]
    assert [day.tone for day in story(views(), replace(ROW, monitoring="sequential"), PLAY, CALENDAR).told] == [
        "no"
    ] * 7


def test_a_story_is_told_with_the_digits_of_the_table() -> None:
    for scale, view in (("relative", View()), ("difference", View(scale="difference"))):
        table = printed(readout((ROW,), truths=()), view=view).sections[0].rows[0]
        assert printed_row(ROW, PLAY, scale) == (table.lift, table.interval)  # type: ignore[arg-type]


def test_an_interval_that_is_absent_is_told_as_absent_and_one_without_ends_as_unbounded() -> None:
    assert printed_row(None, PLAY, "relative") == ("—", "—")
    endless = replace(ROW, low=None, high=None, reason="the control may well be 0")
    assert printed_row(endless, PLAY, "relative") == ("+4.50 %", "unbounded")


def test_stories_on_one_axis_hold_what_each_holds() -> None:
    first, second = story(views(), ROW, PLAY, CALENDAR), story(views(lifts=(-0.2,) * 7), ROW, PLAY, CALENDAR)
    shared = on_one_axis((first, second))
    assert shared[0].axis == shared[1].axis
    assert shared[0].axis.low == min(first.axis.low, second.axis.low)
    assert shared[0].axis.high == max(first.axis.high, second.axis.high)
    assert on_one_axis(()) == ()


def test_who_cannot_see_the_picture_is_told_the_newest_figures() -> None:
    told = describe(story(views(), ROW, PLAY, CALENDAR))
    assert told.startswith(
        "Home Card, Play duration per user (s), pia: the lift over 7 days from 2025-03-03 to 2025-03-09."
    )
    assert "As of the last, +4.50 %" in told
    assert told.endswith("better.")
    assert "no day was analysed" in describe(story((), ROW, PLAY, CALENDAR))


def test_the_csv_has_every_stored_figure_in_full_precision() -> None:
    found = days(views(), KEY, covariates=False)
    lines = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert len(lines) == 14
    assert [float(line["low"]) for line in lines if line["monitoring"] == "fixed"] == [day.fixed.low for day in found]
    assert {line["as_of"] for line in lines} == {day.isoformat() for day in DAYS}
    assert lines[0]["reason"] == ""


def test_a_guardrail_is_told_by_its_margin() -> None:
    row = replace(lift_row(lift=(0.001, -0.004, 0.006), p_value=1e-6), role="guardrail", null_lift=-0.02)
    told = story(views(role="guardrail", null_lift=-0.02), row, PLAY, CALENDAR)
    assert told.levels == {"margin": -0.02}
    assert told.told[-1].facts[4] == "not worse than -2 %: shown"
    assert story(views(), row, PLAY, CALENDAR, scale="difference").levels == {}
