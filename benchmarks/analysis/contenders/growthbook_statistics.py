"""Lifts and intervals by GrowthBook's `gbstats`; run by itself, in an environment where that is installed.

A line of JSON holds the sums of both arms, control first; a line of JSON answers with each metric's lift, the ends of
its interval, and its lift without CUPED.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from gbstats.frequentist.tests import TwoSidedTTest
from gbstats.models.statistics import (
    ProportionStatistic,
    RatioStatistic,
    RegressionAdjustedStatistic,
    SampleMeanStatistic,
)

Sums = Mapping[str, float]
Inferred = tuple[float, float, float, float]


def play_duration(arm: Sums) -> Any:
    """Return the mean play duration, adjusted for that of before."""
    n = int(arm["users"])
    return RegressionAdjustedStatistic(
        n=n,
        post_statistic=SampleMeanStatistic(n=n, sum=arm["play"], sum_squares=arm["play_x_play"]),
        pre_statistic=SampleMeanStatistic(n=n, sum=arm["before_play"], sum_squares=arm["before_play_x_before_play"]),
        post_pre_sum_of_products=arm["play_x_before_play"],
        theta=0.0,
    )


def click_rate_per_view(arm: Sums) -> Any:
    """Return clicks over views; its ratios take no covariate."""
    n = int(arm["users"])
    return RatioStatistic(
        n=n,
        m_statistic=SampleMeanStatistic(n=n, sum=arm["clicks"], sum_squares=arm["clicks_x_clicks"]),
        d_statistic=SampleMeanStatistic(n=n, sum=arm["views"], sum_squares=arm["views_x_views"]),
        m_d_sum_of_products=arm["clicks_x_views"],
    )


def click_rate_per_user(arm: Sums) -> Any:
    """Return the share of users who clicked, adjusted for whether they did before."""
    n = int(arm["users"])
    return RegressionAdjustedStatistic(
        n=n,
        post_statistic=ProportionStatistic(n=n, sum=arm["clicked"]),
        pre_statistic=ProportionStatistic(n=n, sum=arm["before_clicked"]),
        post_pre_sum_of_products=arm["clicked_x_before_clicked"],
        theta=0.0,
    )


def inferred(control: Any, treatment: Any) -> Inferred:
    """Test one metric."""
    plain = treatment.unadjusted_mean / control.unadjusted_mean - 1.0
    found = TwoSidedTTest(control, treatment).compute_result()
    return float(found.expected), float(found.ci[0]), float(found.ci[1]), float(plain)


def main() -> None:
    """Answer until there is no further question."""
    print("ready", flush=True)
    for line in sys.stdin:
        control, treatment = json.loads(line)
        metrics = (play_duration, click_rate_per_view, click_rate_per_user)
        print(json.dumps({each.__name__: inferred(each(control), each(treatment)) for each in metrics}), flush=True)


if __name__ == "__main__":
    main()
