"""The words: verdict of a row, of a split, of an interval against the truth."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.metrics import metric
from ab_platform.reporting import verdict as words
from ab_platform.results import LiftRow, Truth
from tests.readouts import absent, lift_row, ratio_row
from tests.reporting.rich import segment_test


def verdict(row: LiftRow) -> words.Verdict:
    """Return the verdict of a row whose metric should rise."""
    return words.verdict(row, metric("play_duration"))


def true_lift(lift: float | None) -> Truth:
    return Truth("home_card", "play_duration", "pia", 1.0, 1.0, lift)


def test_a_significant_rise_of_a_metric_that_should_rise_is_better() -> None:
    assert verdict(lift_row(values=(10.0, 11.0), p_value=0.01)) == "better"


def test_a_significant_fall_of_a_metric_that_should_rise_is_worse() -> None:
    assert verdict(lift_row(values=(11.0, 10.0), p_value=0.01)) == "worse"


def test_a_significant_rise_of_a_metric_that_should_fall_is_worse() -> None:
    latency = metric("latency")
    assert words.verdict(lift_row(values=(10.0, 11.0), p_value=0.01), latency) == "worse"
    assert words.verdict(lift_row(values=(11.0, 10.0), p_value=0.01), latency) == "better"


def guardrail(
    lift: float, p_value: float, *, null_lift: float = -0.02, measured: str = "retention_day_1"
) -> words.Verdict:
    row = replace(lift_row(lift=(lift, lift - 0.1, lift + 0.1), p_value=p_value), role="guardrail", null_lift=null_lift)
    return words.verdict(row, metric(measured))


def test_a_guardrail_is_shown_to_hold_on_the_good_side_of_its_margin_alone() -> None:
    assert guardrail(0.0, 0.01) == "shown"
    assert guardrail(-0.01, 0.01) == "shown"
    assert guardrail(-0.05, 0.01) == "BREACHED"
    assert guardrail(0.0, 0.05) == guardrail(-0.05, 0.05) == "not shown"


def test_the_good_side_of_a_metric_that_should_fall_is_below_its_margin() -> None:
    assert guardrail(0.01, 0.01, null_lift=0.05, measured="latency") == "shown"
    assert guardrail(0.09, 0.01, null_lift=0.05, measured="latency") == "BREACHED"


def test_a_guardrail_without_a_lift_or_a_p_value_is_unknown() -> None:
    row = replace(lift_row(p_value=0.01), role="guardrail", null_lift=-0.02)
    assert verdict(replace(row, lift=None)) == verdict(replace(row, p_value=None)) == "unknown"


def test_a_guardrail_is_a_sentence_with_its_margin_and_any_other_verdict_a_word() -> None:
    row = replace(lift_row(), role="guardrail", null_lift=0.05)
    assert words.sentence(row, "not shown") == "not worse than +5 %: not shown"
    assert words.sentence(lift_row(), "better") == "better"


def test_every_verdict_has_a_tone() -> None:
    verdicts = {word for part in get_args(words.Verdict) for word in (get_args(part) or (part,))}
    assert set(words.TONES) == verdicts


@pytest.mark.parametrize(("p_value", "found"), [(0.049, "differs"), (0.05, "no difference shown"), (None, "unknown")])
def test_a_test_between_segments_has_a_verdict_of_its_own(p_value: float | None, found: str) -> None:
    assert words.heterogeneity(segment_test("play_duration", "device", p_value), 0.05) == found


def test_a_p_value_at_alpha_shows_no_difference() -> None:
    assert verdict(lift_row(p_value=0.05)) == "no difference shown"


def test_a_row_keeps_to_its_own_alpha() -> None:
    assert verdict(replace(lift_row(p_value=0.02), alpha=0.01)) == "no difference shown"


def test_a_baseline_below_zero_does_not_turn_the_verdict_round() -> None:
    assert verdict(lift_row(values=(-10.0, -9.0), lift=(0.1, 0.05, 0.15), p_value=0.01)) == "better"


def test_a_control_of_zero_has_no_lift_and_still_a_verdict() -> None:
    row = replace(lift_row(values=(0.0, 2.0), p_value=1e-5), lift=None, low=None, high=None, reason="control mean is 0")
    assert verdict(row) == "better"


@given(st.sampled_from(["control", "treatment", "p_value"]))
def test_a_row_without_one_of_its_numbers_is_unknown(missing: str) -> None:
    whole = lift_row()
    without = {
        "control": replace(whole, control=None),
        "treatment": replace(whole, treatment=None),
        "p_value": replace(whole, p_value=None),
    }
    assert verdict(without[missing]) == "unknown"


def test_an_alarm_is_never_outvoted_by_its_p_value() -> None:
    assert words.split_verdict(replace(ratio_row(p_value=0.9), alarm=True)) == "ALARM"


def test_an_unknown_split_is_not_called_sound() -> None:
    assert words.split_verdict(replace(ratio_row(p_value=None), reason="no users")) == "unknown"


def test_a_split_within_chance_is_trusted() -> None:
    assert words.split_verdict(ratio_row(p_value=0.5)) == "trust the split"


@pytest.mark.parametrize(("lift", "found"), [(1.50, "inside"), (1.9, "inside"), (1.4999, "outside"), (2.0, "outside")])
def test_the_ends_of_an_interval_belong_to_it(lift: float, found: str) -> None:
    assert words.coverage(lift_row(lift=(1.69, 1.50, 1.90)), true_lift(lift)) == found


def test_whether_an_absent_interval_holds_the_truth_is_unknown() -> None:
    assert words.coverage(absent(lift_row(), "control has 1 user"), true_lift(0.1)) == "unknown"
    assert words.coverage(lift_row(), true_lift(None)) == "unknown"
