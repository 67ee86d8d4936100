"""Days on their way to the archive: which are stale, and their rows at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

from ab_platform.storage import changed_days
from ab_platform.storage.connection import reading, snapshot, writing
from ab_platform.storage.keeping.kept import Kept

if TYPE_CHECKING:
    from ab_platform.storage.day_rows import DayRows


class Archived(Kept):
    """What the archive is made of, and how far it is."""

    def stale_days(self) -> tuple[date, ...]:
        """List the days whose rows changed since the archive took them, in order; all days that it never took."""
        with reading(self.engine) as connection:
            return changed_days.stale(connection)

    def changed_days(self) -> tuple[date, ...]:
        """List the days that have rows, or had some that the archive still holds, in order."""
        with reading(self.engine) as connection:
            return changed_days.every(connection)

    def days_of_events(self, experiment: str) -> tuple[date, ...]:
        """List the days that an experiment has raw events of, in order."""
        from ab_platform.storage.day_rows import days_of_events

        with reading(self.engine) as connection:
            return days_of_events(connection, experiment)

    @contextmanager
    def day_rows(self, day: date) -> Iterator[DayRows]:
        """Give the rows of a day, all as they were at one moment."""
        from ab_platform.storage.day_rows import DayRows

        with snapshot(self.engine) as connection:
            yield DayRows(connection, day)

    def note_archived(self, day: date, changes: int, *, withdrawn: bool) -> None:
        """Note that the archive holds a day as it was; a day that changed since stays stale.

        Args:
            day: in UTC.
            changes: as its rows told when they were read.
            withdrawn: whether there was no row, so that the day is not published.
        """
        with writing(self.engine) as connection:
            (changed_days.withdrawn if withdrawn else changed_days.archived)(connection, day, changes)
