"""Numbers as Table 2 prints them. What is absent prints as ABSENT, never as a zero."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

from ab_platform.metrics import Column, Metric, Unit
from ab_platform.results import LiftRow

ABSENT = "—"
UNBOUNDED = "unbounded"

UNIT_SCALES: dict[Unit, float] = {"seconds": 1.0, "fraction": 100.0}
UNIT_DECIMALS: dict[Unit, int] = {"seconds": 1, "fraction": 2}

COLUMN_WORDS: dict[Column, str] = {
    "impressions": "impressions",
    "clicks": "clicks",
    "clicked": "users who clicked",
    "watch_seconds": "seconds",
}


def value(number: float | None, unit: Unit, *, decimals: int | None = None) -> str:
    """Print a metric's value without its unit, which the metric's label carries.

    Args:
        number: seconds, or a fraction that is printed as a percentage.
        unit: of the metric.
        decimals: 1 for seconds and 2 for rates where None.
    """
    if number is None:
        return ABSENT
    places = UNIT_DECIMALS[unit] if decimals is None else decimals
    scaled = number * UNIT_SCALES[unit]
    if 0 < scaled < 0.5 * 10**-places:
        return f"<{10**-places:.{places}f}"
    return f"{scaled:z,.{places}f}"


def lift_decimals(*fractions: float | None) -> int:
    """Choose the decimals that the lifts of one row share, from the largest of them."""
    largest = max((abs(each) for each in fractions if each is not None), default=0.0)
    return 0 if largest >= 1.0 else 1 if largest >= 0.1 else 2


def unbounded(row: LiftRow) -> bool:
    """Tell an interval without ends, which the test of the row still belongs to, from one that was not computed."""
    return row.lift is not None and row.p_value is not None and row.low is None and row.high is None


def percent(fraction: float | None, decimals: int) -> str:
    """Print a lift with its sign."""
    return ABSENT if fraction is None else f"{100 * fraction:+z,.{decimals}f} %"


def interval(row: LiftRow, decimals: int) -> str:
    """Print the interval of a lift."""
    if unbounded(row):
        return UNBOUNDED
    if row.low is None or row.high is None:
        return ABSENT
    low, high = row.low, row.high
    return f"{100 * low:+z,.{decimals}f} to {100 * high:+z,.{decimals}f} %"


def p_value(probability: float | None, alpha: float) -> str:
    """Print a p-value with three decimals, or with as many as keep it on its side of alpha."""
    if probability is None:
        return ABSENT
    if probability < min(0.001, alpha):
        return "<0.001"
    texts = (f"{probability:.{places}f}" for places in count(3))
    return next(text for text in texts if (float(text) < alpha) == (probability < alpha))


def p_clause(text: str) -> str:
    """Put a printed p-value into a sentence."""
    if text == ABSENT:
        return "p unknown"
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def interval_label(alpha: float) -> str:
    """Name the interval by its level, such as `95 % interval`."""
    return f"{100 * (1 - alpha):.6g} % interval"


def counts(numerator: float, denominator: float) -> str:
    """Print the two totals that a value is the ratio of."""
    return f"{numerator:,.0f} / {denominator:,.0f}"


def counts_label(metric: Metric) -> str:
    """Name the two totals that a metric's value is the ratio of, such as `clicks / impressions`."""
    below = "users" if metric.denominator is None else COLUMN_WORDS[metric.denominator]
    return f"{COLUMN_WORDS[metric.numerator]} / {below}"


def moment(at: datetime) -> str:
    """Print a moment in UTC, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
