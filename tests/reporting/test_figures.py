"""Numbers as they are printed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.metrics import CATALOGUE, MEASURES, PUBLISHED_TABLE_2, Metric, Unit, metric
from ab_platform.reporting import figures
from tests.readouts import lift_row


def test_the_published_rows_print_as_the_paper_printed_them() -> None:
    printed = [
        (
            figures.value(row.control, metric(row.metric).unit, decimals=1),
            figures.value(row.treatment, metric(row.metric).unit, decimals=1),
            figures.percent(row.lift, 0),
        )
        for row in PUBLISHED_TABLE_2
    ]
    assert printed == [
        ("27.7", "74.6", "+169 %"),
        ("4.4", "9.5", "+117 %"),
        ("5.3", "12.0", "+123 %"),
        ("16.8", "102.6", "+509 %"),
        ("3.4", "12.5", "+267 %"),
        ("4.2", "16.2", "+283 %"),
    ]


def test_an_absent_number_is_a_dash_and_a_measured_zero_is_a_zero() -> None:
    assert figures.value(None, "seconds") == figures.percent(None, 1) == figures.p_value(None, 0.05) == "—"
    assert figures.value(0.0, "seconds") == "0.0"


@given(st.floats(min_value=1e-12, max_value=1e6), st.sampled_from(get_args(Unit)))
def test_no_value_other_than_zero_prints_as_zero(number: float, unit: Unit) -> None:
    above, below = figures.value(number, unit), figures.value(-number, unit)
    assert above.startswith("<") or float(above.replace(",", "")) > 0
    assert below.startswith(">-") or float(below.replace(",", "")) < 0


def test_a_value_in_a_sentence_carries_its_unit() -> None:
    assert [figures.amount(612.4, unit) for unit in get_args(Unit)] == ["612.4 s", "612.4 ms", "61,240.00 %", "612.40"]


def test_a_margin_is_the_lift_that_is_still_tolerated() -> None:
    assert [figures.margin(null) for null in (-0.02, 0.05, -0.025)] == ["-2 %", "+5 %", "-2.5 %"]


def test_the_size_of_a_lift_has_no_sign() -> None:
    assert [figures.size(lift) for lift in (0.0412, 0.163, 0.0041)] == ["4.1 %", "16 %", "0.41 %"]


@pytest.mark.parametrize(
    ("evidence", "said"),
    [(None, "unknown"), (0.001, "< 0.01"), (0.23, "0.23"), (9.99, "10"), (4200.0, "4,200"), (1e300, "> 1,000,000")],
)
def test_an_e_value_is_short_however_large(evidence: float | None, said: str) -> None:
    assert figures.e_clause(figures.e_value(evidence)) == f"e-value {said}"


@pytest.mark.parametrize(
    ("fractions", "decimals"), [((0.031, 0.004, 0.06), 2), ((0.05, -0.1, 0.2), 1), ((1.69, 1.5, 1.9), 0), ((None,), 2)]
)
def test_the_largest_lift_of_a_row_chooses_its_decimals(fractions: tuple[float | None, ...], decimals: int) -> None:
    assert figures.lift_decimals(*fractions) == decimals


def test_a_lift_that_rounds_to_zero_has_no_minus_sign() -> None:
    assert figures.percent(-0.00001, 2) == "+0.00 %"


@given(st.floats(min_value=0.0, max_value=1.0), st.sampled_from([0.05, 0.01, 0.1, 0.001]))
def test_a_printed_p_value_stays_on_its_side_of_alpha(probability: float, alpha: float) -> None:
    text = figures.p_value(probability, alpha)
    printed = 0.0 if text.startswith("<") else float(text)
    assert (printed < alpha) == (probability < alpha)


def test_a_p_value_just_below_alpha_is_given_the_decimals_it_needs() -> None:
    assert figures.p_value(0.04996, 0.05) == "0.04996"
    assert figures.p_value(0.0312, 0.05) == "0.031"
    assert figures.p_value(0.0002, 0.05) == "<0.001"


def test_an_interval_without_ends_is_unbounded_and_one_that_was_not_computed_is_absent() -> None:
    endless = replace(lift_row(), low=None, high=None, reason="the control may well be 0")
    assert figures.interval(endless, 0) == "unbounded"
    assert figures.interval(replace(endless, p_value=None, reason="control has 1 user"), 0) == "—"


def test_the_level_of_the_interval_follows_alpha() -> None:
    assert [figures.interval_label(alpha) for alpha in (0.05, 0.1, 0.001)] == [
        "95 % interval",
        "90 % interval",
        "99.9 % interval",
    ]


def test_the_label_of_the_interval_says_how_often_it_may_be_looked_at() -> None:
    assert figures.interval_label(0.05, "sequential") == "95 % confidence sequence"
    assert figures.interval_label(0.05, "group_sequential") == "95 % interval, group sequential"


def test_a_level_is_never_printed_as_one_hundred_percent() -> None:
    assert [figures.level(alpha) for alpha in (0.025, 0.05 / 3, 1e-6)] == ["97.5 %", "98.33 %", "99.9999 %"]


def test_counts_name_what_was_divided_by_what() -> None:
    assert [figures.counts_label(each) for each in CATALOGUE[:3]] == [
        "seconds / users",
        "clicks / impressions",
        "users who clicked / users",
    ]
    assert (
        figures.counts_label(metric("retention_day_7")) == "users who returned, day 7 / users whose day is over, day 7"
    )
    assert figures.counts(metric("play_duration"), 124456.0, 3012.0) == "124,456 / 3,012"


def test_a_quantile_is_no_ratio_so_its_users_stand_alone() -> None:
    assert figures.counts_label(metric("play_duration_median")) == "users"
    assert figures.counts(metric("play_duration_median"), 124456.0, 3012.0) == "3,012"


@pytest.mark.parametrize("column", [*MEASURES, "clicked", "returned_28", "due_28"])
def test_every_column_has_its_words(column: str) -> None:
    assert "_" not in figures.column_words(column)


@pytest.mark.parametrize("each", CATALOGUE, ids=lambda each: each.name)
def test_every_metric_of_the_catalogue_is_printed(each: Metric) -> None:
    assert figures.value(12.5, each.unit) in ("12.5", "12.50", "1,250.00")
    assert figures.counts_label(each)


def test_a_moment_is_printed_in_utc() -> None:
    there = datetime(2025, 3, 9, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert figures.moment(there) == figures.moment(there.astimezone(UTC)) == "2025-03-08 23:30 UTC"
