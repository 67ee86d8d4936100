"""All experiments at a glance: days, lifts by day, and what is looked for."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.lineage import Action, Change, Launch
from ab_platform.reporting.change_log import change_log, told
from ab_platform.reporting.html_overview import overview
from ab_platform.reporting.overview import Entry, Point, entries, found
from ab_platform.reporting.sparkline import sparkline
from ab_platform.results import Headline
from tests.readouts import AS_OF, DECISION, ROWS, ratio_row

START = datetime(2025, 3, 3, tzinfo=UTC)
ARMS = (Arm("multi_vae", "multi_vae", 0.5, control=True), Arm("pia", "pia", 0.5))
KEY = "pia-vs-multivae"
LAUNCH = Launch(
    experiment=Experiment(KEY, DataRule("small"), ARMS, days=7),
    artifacts={},
    state="running",
    traffic=0.125,
    launched_at=START,
    starts_at=START,
    ends_at=START + timedelta(days=7),
)
FOUND = found(
    [Headline(KEY, AS_OF, ROWS[0])], decisions={KEY: (DECISION,)}, sample_ratios={KEY: (ratio_row(),)}, checks={}
)


def entry(launch: Launch = LAUNCH, *, today: date = AS_OF, made_up: bool = False, analysed: bool = True) -> Entry:
    [only] = entries([launch], FOUND if analysed else {}, made_up={KEY} if made_up else set(), today=today)
    return only


@pytest.mark.parametrize(
    ("day", "days", "left"),
    [
        (2, "0 of 7", "from 2025-03-03"),
        (3, "1 of 7", "6 days left"),
        (8, "6 of 7", "1 day left"),
        (9, "7 of 7", "last day"),
        (10, "7 of 7", "planned end reached"),
        (30, "7 of 7", "planned end reached"),
    ],
)
def test_a_running_experiment_says_how_many_days_are_left(day: int, days: str, left: str) -> None:
    shown = entry(today=date(2025, 3, day))
    assert (shown.days, shown.left) == (days, left)


def test_a_replay_is_as_old_as_its_newest_analysis_whatever_the_day() -> None:
    assert (entry(made_up=True, today=date(2030, 1, 1)).days) == "7 of 7"
    assert entry(made_up=True, today=date(2030, 1, 1)).left == "planned end reached"
    assert entry(made_up=True, today=date(2030, 1, 1), analysed=False).left == "from 2025-03-03"


@pytest.mark.parametrize(
    ("after", "days"), [(timedelta(hours=1), "1 of 7"), (timedelta(days=2), "2 of 7"), (timedelta(days=9), "7 of 7")]
)
def test_a_stopped_experiment_says_when_it_was_stopped(after: timedelta, days: str) -> None:
    shown = entry(replace(LAUNCH, state="stopped", stopped_at=START + after))
    assert (shown.days, shown.left) == (days, f"stopped {(START + after).date()}")


def test_traffic_has_the_digits_that_it_was_set_with() -> None:
    assert entry().traffic == "12.5 %"


def test_the_figures_are_those_of_the_newest_day_whatever_the_order() -> None:
    early = replace(ROWS[0], as_of=date(2025, 3, 4), lift=0.31)
    for rows in ((early, ROWS[0]), (ROWS[0], early)):
        heads = [Headline(KEY, row.as_of, row) for row in rows]
        [course] = found(heads, decisions={}, sample_ratios={}, checks={})[KEY].courses
        assert course.row == ROWS[0]
        assert [point.as_of for point in course.points] == [date(2025, 3, 4), AS_OF]


def test_a_day_without_a_lift_is_no_point() -> None:
    none = replace(ROWS[0], as_of=date(2025, 3, 4), lift=None, low=None, high=None)
    heads = [Headline(KEY, row.as_of, row) for row in (none, ROWS[0])]
    [course] = found(heads, decisions={}, sample_ratios={}, checks={})[KEY].courses
    assert len(course.points) == 1


ends = st.one_of(st.none(), st.floats(-10, 10))
lifts = st.floats(-10, 10)


@given(st.lists(st.tuples(lifts, ends, ends), min_size=1, max_size=20))
def test_whatever_the_lifts_the_drawing_stays_within_its_box(
    values: list[tuple[float, float | None, float | None]],
) -> None:
    points = [Point(START.date() + timedelta(days=day), *each) for day, each in enumerate(values)]
    drawn = sparkline(points, "no", "pia")
    shares = [float(each) for each in re.findall(r"(-?[\d.]+)%", drawn.split(">", 1)[1])]
    assert all(0.0 <= share <= 100.0 for share in shares)
    assert "nan" not in drawn


def test_the_zero_line_lies_between_a_gain_and_a_loss() -> None:
    def places(lift: float) -> tuple[float, float]:
        drawn = sparkline([Point(AS_OF, lift, lift - 0.01, lift + 0.01)], "no", "pia")
        [zero] = re.findall(r'class="zero" style="top:([\d.]+)%', drawn)
        [dot] = re.findall(r'class="dot" style="left:[\d.]+%;top:([\d.]+)%', drawn)
        return float(zero), float(dot)

    assert places(0.03)[1] < places(0.03)[0]
    assert places(-0.03)[1] > places(-0.03)[0]


def test_without_a_lift_nothing_is_drawn() -> None:
    assert sparkline([], "no", "pia") == ""


def test_names_do_not_become_tags() -> None:
    shown = overview([replace(entry(), key="<a>", hypothesis="<b>", arms="<i>")])
    assert not re.search(r"<(a|b|i)>[^0-9]", shown.replace('<b class="better">', ""))
    assert "results?experiment=%3Ca%3E" in shown


CHANGES: tuple[tuple[Action, dict[str, object], str], ...] = (
    ("launch", {"state": "running", "traffic": 0.1}, "launched, traffic 10 %"),
    ("ramp", {"traffic": 0.55}, "traffic 10 % → 55 %"),
    ("gate", {"step": 1, "passes": True}, "gate of step 1 passed"),
    ("gate", {"step": 2, "passes": False}, "gate of step 2 did not pass"),
    ("decide", {"choice": "ship", "arm": "pia", "by": "ada"}, "decided: ship pia, by ada"),
    ("stop", {"state": "stopped"}, "stopped"),
    ("replay", {"seed": 0}, "replay begun"),
    ("replay", {"until": "2025-03-05T00:00:00+00:00"}, "visits replayed up to 2025-03-05 00:00 UTC"),
    ("simulate", {}, "visits simulated"),
    ("delete_events", {"events": 0}, "raw events deleted"),
)


@pytest.mark.parametrize(("action", "after", "words"), CHANGES)
def test_every_change_is_told_in_words(action: Action, after: dict[str, object], words: str) -> None:
    assert told(Change(KEY, START, action, {"traffic": 0.1}, after, None)) == words


def test_the_log_is_told_newest_first_with_its_reasons() -> None:
    log = [
        Change(KEY, START, "launch", None, {"traffic": 0.1}, "as planned"),
        Change(KEY, START + timedelta(days=1), "stop", {"state": "running"}, {"state": "stopped"}, "by <ada>"),
    ]
    shown = change_log(log, KEY)
    assert shown.index("Stopped") < shown.index("Launched, traffic 10 %")
    assert "by &lt;ada&gt;" in shown
    assert "2025-03-04 00:00 UTC" in shown
