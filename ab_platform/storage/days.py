"""Days: one after another, and in Ibis, so that every engine counts them alike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import ibis
import ibis.expr.types as ir


def each_day(first: date, last: date) -> Iterator[date]:
    """Give the days from one to another, both inclusive; none where the last is before the first."""
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def end_of(day: date) -> ir.Value:
    """Return the moment after a day, in UTC."""
    return ibis.literal(datetime.combine(day + timedelta(days=1), time(), UTC).isoformat()).cast("timestamp('UTC')")


def days_before(day: ir.Value, days: int, dialect: str) -> ir.Value:
    """Return the day so many days before another; Ibis knows how on every engine but SQLite below 3.46."""
    if dialect == "sqlite":
        return _sqlite_day(day, f"-{days} days")
    return (day - ibis.interval(days=days)).cast("date")


@ibis.udf.scalar.builtin(name="date", signature=(("date", "string"), "date"))
def _sqlite_day(day, modifier): ...  # type: ignore[no-untyped-def]


def days_between(later: ir.Value, earlier: ir.Value) -> ir.Value:
    """Return how many days one lies after another."""
    return _day_number(later) - _day_number(earlier)


def _day_number(day: ir.Value) -> ir.Value:
    return (day.cast("timestamp('UTC')").epoch_seconds() / 86_400).round().cast("int64")
