"""The decision, from rows as they are stored: what they show is put into the rule's words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ab_platform.analysis.deciding import decisions
from ab_platform.experiment import AnalysisRule, Guardrail
from ab_platform.lineage import Launch
from ab_platform.results import DecisionRow, LiftRow, Look, SampleRatioRow
from ab_platform.storage.store import FirstExposed
from tests.analysis.made import KEY, START, definition

FIRST = START.date()
LAST = FIRST + timedelta(days=6)

PLAY = LiftRow(
    KEY, LAST, "home_card", "play_duration", "new", "primary", "fieller", "fixed", "none", 0.05, 0.05, 0.0, START,
    1_000, 1_000, 10_000.0, 11_000.0, 1_000.0, 1_000.0, 10.0, 11.0, 1.0, 0.4, 1.6, 0.1, 0.04, 0.16, 0.002, 0.08, None,
    None, None,
)  # fmt: skip
LATENCY = replace(
    PLAY, metric="latency", role="guardrail", null_lift=0.05, control=20.0, treatment=20.1, lift=0.005, p_value=0.01
)
SPLIT = SampleRatioRow(
    KEY, LAST, "all", START, ("old", "new"), (1_000, 1_000), (1_000.0,) * 2, 0.0, 1.0, 0.5, False, None
)
LOOK = Look(KEY, LAST, START, 2_000, 0, ())


def decided(
    *rows: LiftRow, split: SampleRatioRow = SPLIT, look: Look = LOOK, rule: AnalysisRule | None = None
) -> DecisionRow:
    experiment = definition(guardrails=(Guardrail("home_card.latency", 0.05),), analysis=rule or AnalysisRule())
    launch = Launch(experiment, {}, "running", 1.0, START, START, START + timedelta(days=7))
    first = [FirstExposed(arm, FIRST + timedelta(days=day), (), 100) for day in range(3) for arm in ("old", "new")]
    [found] = decisions(launch, rows, [split], look, first)
    return found


def test_better_within_the_margin_at_the_end_is_shipped() -> None:
    assert decided(PLAY, LATENCY).outcome == "ship"


def test_worse_is_rolled_back() -> None:
    assert decided(replace(PLAY, treatment=9.0, lift=-0.1), LATENCY).outcome == "roll back"


@pytest.mark.parametrize(
    ("lift", "p_value", "outcome"),
    [
        (0.005, 0.01, "ship"),  # well within the margin of +5 %
        (0.04, 0.6, "neutral"),  # may be either side of it
        (0.30, 0.01, "roll back"),  # slower than the margin allows
    ],
)
def test_a_guardrail_of_which_less_is_better_is_read_from_that_side(lift: float, p_value: float, outcome: str) -> None:
    latency = replace(LATENCY, treatment=20.0 * (1.0 + lift), lift=lift, p_value=p_value)
    assert decided(PLAY, latency).outcome == outcome


def test_a_row_without_a_p_value_is_unknown_and_says_why() -> None:
    absent = replace(PLAY, p_value=None, reason="treatment has 0 users; at least 2 are required")
    found = decided(absent, LATENCY)
    assert found.outcome == "not enough data"
    assert "treatment has 0 users" in found.reason


def test_an_alarm_of_any_scope_makes_it_unhealthy_and_is_named() -> None:
    found = decided(PLAY, LATENCY, split=replace(SPLIT, scope="device tv", alarm=True, reason="p is 1e-9"))
    assert found.outcome == "unhealthy"
    assert "on device tv: p is 1e-9" in found.reason


def test_an_unknown_split_is_never_shipped() -> None:
    assert decided(PLAY, LATENCY, split=replace(SPLIT, p_value=None, reason="too few")).outcome == "not enough data"


def test_too_many_users_of_several_arms_make_it_unhealthy() -> None:
    assert decided(PLAY, LATENCY, look=replace(LOOK, mixed_users=10)).outcome == "ship"
    assert decided(PLAY, LATENCY, look=replace(LOOK, mixed_users=100)).outcome == "unhealthy"


def test_before_the_planned_end_a_fixed_experiment_waits_and_a_sequential_one_may_decide() -> None:
    early = replace(LOOK, as_of=FIRST + timedelta(days=2))
    fixed = decided(PLAY, LATENCY, look=early)
    assert (fixed.outcome, fixed.days_left) == ("keep running", 4.0)
    assert decided(PLAY, LATENCY, look=early, rule=AnalysisRule("sequential", users=900)).outcome == "ship"


def test_days_left_are_those_until_the_lift_to_find_could_be_found() -> None:
    # 600 users in 3 days find 8 %; 6 % needs 16/9 times as many: 467 more, at 200 a day in about 2.3 days.
    early = replace(LOOK, as_of=FIRST + timedelta(days=2))
    quiet = replace(PLAY, p_value=0.4, detectable=0.08)
    found = decided(quiet, LATENCY, look=early, rule=AnalysisRule("sequential", users=900, lift_to_find=0.06))
    assert found.outcome == "keep running"
    assert found.days_left == pytest.approx(467 / 200, abs=0.05)
