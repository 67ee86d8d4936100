"""Statements that count user-days by surface, arm and day, for the checks of the data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, func, select

from ab_platform.events import Surface
from ab_platform.storage.schema import user_days


@dataclass(frozen=True)
class DayCount:
    """What one arm's users did on one surface and day, also those seen in several arms.

    Attributes:
        surface: where.
        arm: of the users' exposure.
        day: in UTC.
        users: who came.
        impressions: titles shown to them.
        slates: that these were of.
        fallback_slates: of which popularity made, in the arm's place.
        last_at: time of the newest event that counts.
    """

    surface: Surface
    arm: str
    day: date
    users: int
    impressions: int
    slates: int
    fallback_slates: int
    last_at: datetime


def day_counts(connection: Connection, experiment: str, *, as_of: date) -> tuple[DayCount, ...]:
    """Count the user-days of an experiment up to a day, inclusive; sorted."""
    days = user_days.c
    key = (days.surface, days.arm, days.day)
    sums = (func.sum(column) for column in (days.impressions, days.slates, days.fallback_slates))
    query = select(*key, func.count(), *sums, func.max(days.last_at))
    within = query.where(days.experiment == experiment, days.day <= as_of)
    return tuple(
        DayCount(surface, arm, day, users, int(impressions), int(slates), int(fell_back), last_at)
        for surface, arm, day, users, impressions, slates, fell_back, last_at in connection.execute(
            within.group_by(*key).order_by(*key)
        )
    )
