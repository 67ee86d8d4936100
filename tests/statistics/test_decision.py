"""Decision: every combination of findings gets the outcome of the rule, and treatments ship as often as planned."""

import itertools
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ab_platform.statistics.decision import (
    Calendar,
    Decision,
    GuardrailFinding,
    GuardrailRow,
    Outcome,
    PrimaryFinding,
    PrimaryRow,
    Split,
    SplitFinding,
    days_left,
    decide,
    guardrail_power,
)
from ab_platform.statistics.monitoring import MonitoringName

PLAY, CLICKS = "home_card.play_duration", "home_card.click_through_rate"
VISITS, LATENCY = "home_card.visits_per_user", "home_card.latency"
TRUST = Split("trust")


def primaries(*findings: PrimaryFinding) -> list[PrimaryRow]:
    return [PrimaryRow(name, finding) for name, finding in zip((PLAY, CLICKS), findings, strict=False)]


def guardrails(*findings: GuardrailFinding) -> list[GuardrailRow]:
    return [GuardrailRow(name, finding, 0.02) for name, finding in zip((VISITS, LATENCY), findings, strict=False)]


def at(days: int, monitoring: MonitoringName = "fixed", left: float | None = None) -> Calendar:
    return Calendar(monitoring, days, 28, left)


# The whole rule


def outcome_by_the_rule(
    primary: tuple[PrimaryFinding, ...],
    guarded: tuple[GuardrailFinding, ...],
    split: Split,
    ended: bool,
    monitoring: MonitoringName,
) -> Outcome:
    if split.finding == "alarm" or split.mixed_share > 0.01:
        return "unhealthy"
    if split.finding == "unknown" or set(primary) == {"unknown"}:
        return "not enough data"
    if ended or monitoring != "fixed":
        if "worse" in primary or "breached" in guarded:
            return "roll back"
        if "better" in primary and set(guarded) <= {"non-inferior"}:
            return "ship"
    return "neutral" if ended else "keep running"


@pytest.mark.parametrize("monitoring", get_args(MonitoringName))
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("mixed_share", [0.0, 0.01, 0.011])
@pytest.mark.parametrize("finding", get_args(SplitFinding))
def test_every_combination_of_findings_has_the_outcome_of_the_rule(
    finding: SplitFinding, mixed_share: float, ended: bool, monitoring: MonitoringName
) -> None:
    split = Split(finding, "a reason", mixed_share)
    calendar = at(28 if ended else 9, monitoring, 12.0)
    seen = set()
    for count in (0, 1, 2):
        every = itertools.product(
            itertools.product(get_args(PrimaryFinding), repeat=2),
            itertools.product(get_args(GuardrailFinding), repeat=count),
        )
        for primary, guarded in every:
            found = decide(primaries(*primary), guardrails(*guarded), split=split, calendar=calendar)
            expected = outcome_by_the_rule(primary, guarded, split, ended, monitoring)
            assert found.outcome == expected, (primary, guarded, found)
            waits = found.outcome in ("keep running", "not enough data") and not ended
            assert found.days_left == ((19.0 if monitoring == "fixed" else 12.0) if waits else None)
            assert found.reason
            assert not found.reason.endswith(".")
            seen.add(found.outcome)
    if finding == "trust" and mixed_share <= 0.01:
        fixed_early = {"not enough data", "keep running"}
        last: Outcome = "neutral" if ended else "keep running"
        assert seen == (
            {"not enough data", "ship", "roll back", last} if ended or monitoring != "fixed" else fixed_early
        )


# What it says


def test_it_ships_what_is_better_and_breaks_nothing_and_names_both() -> None:
    found = decide(
        [PrimaryRow(PLAY, "better", "+3.1 %, p = .004"), PrimaryRow(CLICKS, "no difference shown")],
        guardrails("non-inferior", "non-inferior"),
        split=TRUST,
        calendar=at(28),
    )
    assert found == Decision(
        "ship",
        "home_card.play_duration is significantly better (+3.1 %, p = .004) and no primary row is shown to be worse; "
        "every guardrail is non-inferior, home_card.visits_per_user at 2 % and home_card.latency at 2 %",
    )


def test_it_says_so_when_nothing_guarded_the_treatment_or_a_row_is_unknown() -> None:
    rows = [PrimaryRow(PLAY, "better"), PrimaryRow(CLICKS, "unknown", "control has a denominator of 0")]
    assert decide(rows, [], split=TRUST, calendar=at(28)).reason == (
        "home_card.play_duration is significantly better, no primary row is shown to be worse and "
        "home_card.click_through_rate is unknown (control has a denominator of 0); there are no guardrails"
    )


def test_it_rolls_back_for_everything_that_speaks_against() -> None:
    found = decide(primaries("better", "worse"), guardrails("breached"), split=TRUST, calendar=at(5, "sequential", 3.0))
    assert found == Decision(
        "roll back",
        "home_card.click_through_rate is significantly worse and home_card.visits_per_user breaches its margin of 2 %",
    )


def test_a_guardrail_that_looks_breached_too_early_is_told_and_decides_nothing() -> None:
    found = decide(primaries("better"), guardrails("breached"), split=TRUST, calendar=at(9))
    assert found == Decision(
        "keep running",
        "day 9 of 28, and fixed monitoring decides at the planned end: so far home_card.visits_per_user breaches its "
        "margin of 2 %, which one look too early cannot confirm, so stop by hand if it does harm",
        19.0,
    )


def test_fixed_monitoring_says_no_word_of_a_lift_before_the_planned_end() -> None:
    found = decide(primaries("better"), guardrails("non-inferior"), split=TRUST, calendar=at(9))
    assert found.reason == "day 9 of 28, and fixed monitoring decides at the planned end"


def test_a_better_row_waits_for_a_guardrail_that_is_not_shown() -> None:
    rows = primaries("better")
    waiting = decide(rows, guardrails("non-inferior", "not shown"), split=TRUST, calendar=at(9, "sequential", 6.4))
    assert waiting == Decision(
        "keep running",
        "home_card.play_duration is significantly better, but home_card.latency is not shown to be within 2 %; "
        "about 6 days left",
        6.4,
    )
    ended = decide(rows, guardrails("non-inferior", "unknown"), split=TRUST, calendar=at(28, "sequential"))
    assert ended == Decision(
        "neutral",
        "home_card.play_duration is significantly better, but home_card.latency is unknown, "
        "and the planned end is reached",
    )


def test_where_users_will_not_come_it_says_when_the_experiment_ends() -> None:
    found = decide(primaries("no difference shown"), [], split=TRUST, calendar=at(27, "sequential"))
    assert found == Decision("keep running", "no primary row shows a difference; it is planned to end in 1 day")


@pytest.mark.parametrize(
    ("split", "reason"),
    [
        (Split("alarm", "p is 0.00032, below 0.001"), "the split alarms (p is 0.00032, below 0.001)"),
        (
            Split("trust", None, 0.031),
            "3.1 % of the users were seen in several arms, more than 1 %; find out how they changed arms",
        ),
    ],
)
def test_an_unhealthy_experiment_says_why(split: Split, reason: str) -> None:
    assert decide(primaries("better"), [], split=split, calendar=at(28)) == Decision("unhealthy", reason)


def test_what_is_missing_is_named_with_its_reason() -> None:
    unknown = Split("unknown", "no users in any arm of positive weight")
    assert decide(primaries("better"), [], split=unknown, calendar=at(28)) == Decision(
        "not enough data", "the split is unknown (no users in any arm of positive weight)"
    )
    rows = [PrimaryRow(PLAY, "unknown", "control has 1 user; at least 2 are required")]
    assert decide(rows, [], split=TRUST, calendar=at(1)) == Decision(
        "not enough data",
        "no primary row has a p-value: home_card.play_duration (control has 1 user; at least 2 are required)",
        27.0,
    )


def test_without_a_primary_row_nothing_can_be_decided() -> None:
    with pytest.raises(ValueError, match="0 primary rows; a decision needs at least 1"):
        decide([], guardrails("breached"), split=TRUST, calendar=at(28))


# Power


def test_guardrails_share_the_chance_to_miss() -> None:
    assert guardrail_power(0.8, 0) == pytest.approx(0.8)
    assert guardrail_power(0.8, 1) == pytest.approx(0.9)
    assert guardrail_power(0.8, 3) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("power", "number", "message"),
    [
        (0.0, 1, "power is 0.0; it must lie between 0 and 1"),
        (1.0, 1, "power is 1.0; it must lie between 0 and 1"),
        (0.8, -1, "guardrails is -1; it must be at least 0"),
    ],
)
def test_a_power_or_a_number_out_of_range_is_refused(power: float, number: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        guardrail_power(power, number)


@pytest.mark.parametrize("correlation", [0.0, 0.6, -0.3])
def test_good_treatments_ship_as_often_as_planned_and_guardrails_cost_no_alpha(correlation: float) -> None:
    # One primary row and 3 guardrails. Binomial(10000, .8): 99.9 % of the time at least 7867 ship; uncorrected .8 for
    # each row would ship .8^4 = 41 % of independent ones. Of treatments that change nothing, one-sided at .025:
    # Binomial(10000, .025): at most 303.
    rng, repetitions = np.random.default_rng(51), 10_000
    together = np.linalg.cholesky((1.0 - correlation) * np.eye(4) + correlation)
    noise = rng.standard_normal((repetitions, 4)) @ together.T
    critical = stats.norm.isf(0.025)
    distance = critical + stats.norm.ppf(guardrail_power(0.8, 3))
    assert stats.binom.interval(0.999, repetitions, 0.8)[0] == 7867
    assert stats.binom.interval(0.999, repetitions, 0.025)[1] == 303
    assert shipped(noise + distance, critical) >= 7867
    assert shipped(noise + np.array([0.0, distance, distance, distance]), critical) <= 303
    uncorrected = critical + stats.norm.ppf(0.8)
    assert shipped(noise + uncorrected, critical) < 7867


def shipped(statistics: np.ndarray[tuple[int, ...], np.dtype[np.float64]], critical: float) -> int:
    outcomes = []
    for primary, *guarded in statistics.tolist():
        finding: PrimaryFinding = (
            "better" if primary > critical else "worse" if primary < -critical else "no difference shown"
        )
        rows = [GuardrailRow(VISITS, "non-inferior" if each > critical else "not shown", 0.02) for each in guarded]
        outcomes.append(decide(primaries(finding), rows, split=TRUST, calendar=at(28)).outcome)
    return outcomes.count("ship")


# Days left


def test_steady_arrivals_are_extrapolated() -> None:
    assert days_left(users_by_day=[100] * 5, needed=800, planned_left=20) == pytest.approx(3.0)


def test_users_enough_need_no_more_days() -> None:
    assert days_left(users_by_day=[100] * 5, needed=500, planned_left=0) == 0.0


def test_declining_arrivals_take_longer_and_may_never_do() -> None:
    # Halved every 3 days: 0.7937 a day, so after a mean of 75 at most 75 * .7937/.2063 = 288.6 more come.
    by_day = [150, 150, 150, 75, 75, 75]
    lacking = 200
    found = days_left(users_by_day=by_day, needed=sum(by_day) + lacking, planned_left=20)
    kept = 0.5 ** (1 / 3)
    assert found is not None
    assert found > lacking / 75
    assert 75 * sum(kept**day for day in range(1, math.floor(found) + 1)) <= lacking
    assert 75 * sum(kept**day for day in range(1, math.ceil(found) + 1)) >= lacking
    assert days_left(users_by_day=by_day, needed=sum(by_day) + 288, planned_left=1_000) is not None
    assert days_left(users_by_day=by_day, needed=sum(by_day) + 289, planned_left=1_000) is None


def test_a_weekend_is_no_decline_once_there_are_two_weeks() -> None:
    week = [100, 100, 100, 100, 100, 40, 40]
    assert days_left(users_by_day=week * 2, needed=2_000, planned_left=28) == pytest.approx((2_000 - 1_160) / (580 / 7))


def test_where_nobody_comes_or_the_end_comes_first_nothing_can_be_said() -> None:
    assert days_left(users_by_day=[], needed=10, planned_left=20) is None
    assert days_left(users_by_day=[50, 0, 0, 0], needed=100, planned_left=20) is None
    assert days_left(users_by_day=[50, 50], needed=10_000, planned_left=20) is None


def test_a_day_of_fewer_than_0_users_is_refused() -> None:
    with pytest.raises(ValueError, match=r"users by day are \[3, -1\]; each must be at least 0"):
        days_left(users_by_day=[3, -1], needed=10, planned_left=5)


@given(
    users_by_day=st.lists(st.integers(0, 1_000), max_size=30),
    needed=st.integers(0, 50_000),
    more=st.integers(0, 1_000),
    planned_left=st.integers(0, 60),
)
def test_more_users_needed_never_take_fewer_days(
    users_by_day: list[int], needed: int, more: int, planned_left: int
) -> None:
    fewer = days_left(users_by_day=users_by_day, needed=needed, planned_left=planned_left)
    longer = days_left(users_by_day=users_by_day, needed=needed + more, planned_left=planned_left)
    assert fewer is None or 0.0 <= fewer <= planned_left
    assert longer is None or (fewer is not None and fewer <= longer)
