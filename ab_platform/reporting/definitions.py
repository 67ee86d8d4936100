"""What the columns and the metrics of the table mean, for who asks."""

from __future__ import annotations

from ab_platform.metrics import Metric
from ab_platform.reporting.figures import column_words

LIFT = "Treatment over control, minus 1. Above 0 is more, which is better only where the metric should rise."
DIFFERENCE = "Treatment minus control, in the metric's unit; pp is percentage points."
CONTROL = "The metric in the control arm. Beneath it stand the two totals that it is the ratio of."
TREATMENT = "The metric in the treatment arm. Beneath it stand the two totals that it is the ratio of."
INTERVAL = (
    "What the lift may well be in truth: made so that it leaves that out in as few experiments as its level says. "
    "Where it leaves out 0, a difference is shown."
)
P_VALUE = "How likely arms that do not differ are to show at least this much by chance; of a guardrail, its margin."
VERDICT = (
    "Better or worse where p is below alpha, by the metric's good direction. Else no difference is shown, which is "
    "not to say that there is none."
)
TRUE_LIFT = "What the lift really is: known, since the visits are replayed or simulated."


def columns(*, relative: bool, truths: bool) -> dict[str, str]:
    """Define the columns of the table, by the names of their cells.

    Args:
        relative: whether effects are relative to the control.
        truths: whether the true lifts are shown.
    """
    return {
        "control": CONTROL,
        "treatment": TREATMENT,
        "lift": LIFT if relative else DIFFERENCE,
        "interval": INTERVAL if relative else INTERVAL.replace("the lift", "the difference"),
        "p": P_VALUE,
        "verdict": VERDICT,
    } | ({"true-lift": TRUE_LIFT} if truths else {})


def metric_told(metric: Metric) -> str:
    """Define a metric by what it counts, and say which direction is better."""
    direction = "Higher" if metric.increase_is_good else "Lower"
    return f"{_counted(metric)} {direction} is better."


def _counted(metric: Metric) -> str:
    above, share = column_words(metric.numerator), f"{100 * (metric.level or 0):g}th percentile"
    if metric.statistic == "coverage":
        return "The share of the catalogue that a group of users was shown, on average over groups."
    if metric.statistic == "quantile":
        return f"The {share}, over the users exposed on the surface, of their {above}."
    below = "users exposed on the surface" if metric.denominator is None else column_words(metric.denominator)
    cut = f", values above the {share} cut there" if metric.statistic == "winsorised" else ""
    return f"{above[:1].upper()}{above[1:]} over {below}{cut}."
