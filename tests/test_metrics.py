"""Metrics: what the catalogue has, and what makes one of one's own valid."""

from __future__ import annotations

import pytest

from ab_platform.errors import ExperimentError
from ab_platform.metrics import CATALOGUE, PUBLISHED_TABLE_2, TABLE_2, Metric, Row, metric, table_2_rows


def test_the_catalogue_begins_with_table_2_and_has_every_name_once() -> None:
    assert CATALOGUE[:3] == TABLE_2
    assert len({each.name for each in CATALOGUE}) == len(CATALOGUE)


def test_the_catalogue_has_what_people_expect() -> None:
    expected = (
        "visits slates titles_watched retention_day_1 retention_day_7 mean_reciprocal_rank time_to_first_click "
        "fallback_rate latency catalogue_coverage play_duration_winsorised play_duration_median play_duration_p90"
    )
    assert set(expected.split()) <= {each.name for each in CATALOGUE}


def test_table_2_is_on_both_surfaces_as_published() -> None:
    assert [(surface, each.name) for surface, each in table_2_rows()] == [
        (row.surface, row.metric) for row in PUBLISHED_TABLE_2
    ]


def test_a_published_lift_is_that_of_its_two_values() -> None:
    # Both values are printed with one decimal, a rate in percent: the lift is known as far as they are.
    for row in PUBLISHED_TABLE_2:
        step = 0.05 if row.metric == "play_duration" else 0.0005
        low, high = (row.treatment - step) / (row.control + step), (row.treatment + step) / (row.control - step)
        assert low - 1.005 <= row.lift <= high - 0.995, row


def test_ones_own_metric_comes_before_the_catalogues() -> None:
    own = Metric("visits", "Mine", "slates")
    assert metric("visits", [own]) == own
    assert metric("visits") != own


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(ExperimentError, match="metric 'latenzy' is not in the catalogue; did you mean 'latency'"):
        metric("latenzy")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"numerator": "watch"}, "numerator is 'watch', which is not counted"),
        ({"denominator": "slate"}, "denominator is 'slate', which is not counted; did you mean 'slates'?"),
        ({"level": 0.5}, "level is 0.5; a mean takes none"),
        ({"statistic": "quantile"}, "level is None; a quantile metric needs one between 0 and 1"),
        ({"statistic": "winsorised", "level": 1.5}, "level is 1.5; a winsorised metric needs one between 0 and 1"),
        (
            {"statistic": "quantile", "level": 0.5, "denominator": "slates"},
            "denominator is slates; a quantile metric is of one column: leave it out",
        ),
        ({"statistic": "coverage"}, "coverage is of 'titles_shown' alone"),
        ({"numerator": "returned_0"}, "numerator is 'returned_0', which is not counted"),
    ],
)
def test_a_metric_that_breaks_a_rule_says_so(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ExperimentError) as raised:
        Metric(**{"name": "own", "label": "Own", "numerator": "clicks"} | changed)  # type: ignore[arg-type]
    assert words in str(raised.value)
    assert raised.value.location[:2] == ("metrics", "own")


@pytest.mark.parametrize(("increase_is_good", "null"), [(True, -0.02), (False, 0.02)])
def test_a_guardrail_tests_its_margin_on_the_worse_side(increase_is_good: bool, null: float) -> None:
    own = Metric("own", "Own", "clicks", increase_is_good=increase_is_good)
    row = Row("home_card", own, "guardrail", 0.02)
    assert (row.name, row.null) == ("home_card.own", null)


def test_other_rows_test_no_difference() -> None:
    assert Row("home_card", TABLE_2[0]).null == 0.0
