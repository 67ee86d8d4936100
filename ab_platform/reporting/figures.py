"""Numbers as Table 2 prints them. What is absent prints as ABSENT, never as a zero."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import count

from ab_platform.metrics import RETENTION, Column, Metric, Unit
from ab_platform.results import LiftRow, SegmentRow
from ab_platform.statistics.monitoring import MonitoringName

ABSENT = "—"
UNBOUNDED = "unbounded"

UNIT_SCALES: dict[Unit, float] = {"seconds": 1.0, "milliseconds": 1.0, "fraction": 100.0, "count": 1.0}
UNIT_DECIMALS: dict[Unit, int] = {"seconds": 1, "milliseconds": 1, "fraction": 2, "count": 2}
UNIT_SIGNS: dict[Unit, str] = {"seconds": " s", "milliseconds": " ms", "fraction": " %", "count": ""}
DIFFERENCE_SIGNS: dict[Unit, str] = UNIT_SIGNS | {"fraction": " pp"}
"""A difference of two percentages is in percentage points."""
MOST_DECIMALS = 6

COLUMN_WORDS: dict[Column, str] = {
    "impressions": "impressions",
    "slates": "slates",
    "visits": "visits",
    "clicks": "clicks",
    "clicked": "users who clicked",
    "clicked_slates": "slates with a click",
    "titles_watched": "titles watched",
    "watch_seconds": "seconds",
    "first_click_seconds": "seconds to the first click",
    "reciprocal_ranks": "reciprocal ranks",
    "fallback_slates": "slates of the fallback",
    "timed_slates": "timed slates",
    "latency_ms": "ms",
}
RETENTION_WORDS = {"returned": "users who returned", "due": "users whose day is over"}

MONITORING_WORDS: dict[MonitoringName, str] = {
    "fixed": "interval",
    "sequential": "confidence sequence",
    "group_sequential": "interval, group sequential",
}


def value(number: float | None, unit: Unit, *, decimals: int | None = None) -> str:
    """Print a metric's value without its unit, which the metric's label carries.

    Args:
        number: in the unit; a fraction is printed as a percentage.
        unit: of the metric.
        decimals: 1 for times and 2 for the rest where None.
    """
    if number is None:
        return ABSENT
    places = UNIT_DECIMALS[unit] if decimals is None else decimals
    scaled = number * UNIT_SCALES[unit]
    if 0 < abs(scaled) < 0.5 * 10**-places:
        return f"{'<' if scaled > 0 else '>-'}{10**-places:.{places}f}"
    return f"{scaled:z,.{places}f}"


def amount(number: float, unit: Unit) -> str:
    """Print a value with its unit, for a sentence."""
    return value(number, unit) + UNIT_SIGNS[unit]


def lift_decimals(*fractions: float | None) -> int:
    """Choose the decimals that the lifts of one row share, from the largest of them."""
    largest = max((abs(each) for each in fractions if each is not None), default=0.0)
    return 0 if largest >= 1.0 else 1 if largest >= 0.1 else 2


def unbounded(row: LiftRow | SegmentRow) -> bool:
    """Tell an interval without ends, which the test of the row still belongs to, from one that was not computed."""
    return row.lift is not None and row.p_value is not None and row.low is None and row.high is None


def percent(fraction: float | None, decimals: int) -> str:
    """Print a lift with its sign; one of zero has none, and no decimals, since it was not rounded to be one."""
    if fraction == 0.0:
        return "0 %"
    return ABSENT if fraction is None else f"{100 * fraction:+z,.{decimals}f} %"


def size(fraction: float) -> str:
    """Print a lift that may go either way without a sign, with two or three digits."""
    return f"{100 * fraction:,.{0 if fraction >= 0.1 else 1 if fraction >= 0.01 else 2}f} %"


def margin(null_lift: float) -> str:
    """Print a guardrail's margin as the lift that is still tolerated."""
    return f"{100 * null_lift:+.6g} %"


def interval(row: LiftRow | SegmentRow, decimals: int) -> str:
    """Print the interval of a lift."""
    if unbounded(row):
        return UNBOUNDED
    if row.low is None or row.high is None:
        return ABSENT
    low, high = row.low, row.high
    return f"{100 * low:+z,.{decimals}f} to {100 * high:+z,.{decimals}f} %"


def difference_decimals(unit: Unit, *numbers: float | None) -> int:
    """Choose the decimals that the differences of one row share: two digits of the nearest of them to its farthest.

    Args:
        unit: of the metric.
        numbers: the difference and the ends of its interval, in the unit.
    """
    known = [each * UNIT_SCALES[unit] for each in numbers if each is not None]
    width = max(known, default=0.0) - min(known, default=0.0)
    if width <= 0.0:
        return UNIT_DECIMALS[unit]
    return min(max(UNIT_DECIMALS[unit], 1 - math.floor(math.log10(width))), MOST_DECIMALS)


def difference(number: float | None, unit: Unit, decimals: int) -> str:
    """Print a difference with its sign and its unit."""
    return ABSENT if number is None else f"{number * UNIT_SCALES[unit]:+z,.{decimals}f}{DIFFERENCE_SIGNS[unit]}"


def difference_interval(row: LiftRow, unit: Unit, decimals: int) -> str:
    """Print the interval of a difference."""
    if row.difference_low is None or row.difference_high is None:
        return ABSENT
    low, high = row.difference_low * UNIT_SCALES[unit], row.difference_high * UNIT_SCALES[unit]
    return f"{low:+z,.{decimals}f} to {high:+z,.{decimals}f}{DIFFERENCE_SIGNS[unit]}"


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


def e_value(evidence: float | None) -> str:
    """Print an e-value with two digits, or whole from 10 on."""
    if evidence is None:
        return ABSENT
    if evidence < 0.01:
        return "<0.01"
    return ">1,000,000" if evidence > 1e6 else f"{evidence:,.0f}" if evidence >= 9.95 else f"{evidence:.2g}"


def e_clause(text: str) -> str:
    """Put a printed e-value into a sentence."""
    if text == ABSENT:
        return "e-value unknown"
    return f"e-value {text[0]} {text[1:]}" if text[0] in "<>" else f"e-value {text}"


def level(alpha: float) -> str:
    """Print the level of an interval with four digits, or with as many as keep it below 100 %."""
    texts = (f"{100 * (1 - alpha):.{digits}g}" for digits in count(4))
    return f"{next(text for text in texts if float(text) < 100)} %"


def interval_label(alpha: float, monitoring: MonitoringName = "fixed") -> str:
    """Name the interval by its level and by how often it may be looked at, such as `95 % confidence sequence`."""
    return f"{level(alpha)} {MONITORING_WORDS[monitoring]}"


def counts(metric: Metric, numerator: float, denominator: float) -> str:
    """Print the two totals that a value is the ratio of; of a quantile, which is none, the users."""
    return f"{denominator:,.0f}" if metric.statistic == "quantile" else f"{numerator:,.0f} / {denominator:,.0f}"


def counts_label(metric: Metric) -> str:
    """Name the two totals that a metric's value is the ratio of, such as `clicks / impressions`."""
    if metric.statistic == "quantile":
        return "users"
    if metric.statistic == "coverage":
        return "titles shown / titles there are, over groups"
    below = "users" if metric.denominator is None else column_words(metric.denominator)
    return f"{column_words(metric.numerator)} / {below}"


def column_words(column: Column) -> str:
    """Say what a per-user column counts."""
    retention = RETENTION.fullmatch(column)
    if retention is not None:
        return f"{RETENTION_WORDS[retention[1]]}, day {retention[2]}"
    return COLUMN_WORDS.get(column, column.replace("_", " "))


def moment(at: datetime) -> str:
    """Print a moment in UTC, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
