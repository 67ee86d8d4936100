"""Raw events that are not needed any more."""

from __future__ import annotations

from datetime import datetime

from ab_platform.errors import StoreAwayError
from ab_platform.storage import deleting
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.deleting import DroppedDay, RawEvents
from ab_platform.storage.keeping.kept import Kept

EVENTS_AT_ONCE = 50_000
"""Raw events that one transaction deletes."""


class GivenUp(Kept):
    """What is left of raw events, and how they go."""

    def raw_events(self, experiment: str) -> RawEvents:
        """Count the raw events of an experiment, and the user-days that wait to be counted from them."""
        with reading(self.engine) as connection:
            return deleting.raw_events(connection, experiment)

    def give_up_events(self, experiment: str, *, stored: int, at: datetime, reason: str) -> bool:
        """Say for good that the raw events of an experiment are deleted, and note it in the change log, once.

        From then on none of its events is recorded and none of its user-days is counted anew.

        Args:
            experiment: its key.
            stored: raw events there were when the user-days were compared with them.
            at: now.
            reason: for the change log.

        Returns:
            Whether they may be deleted; not where events came in since, or wait to be counted.

        Raises:
            NotFoundError: for an unknown key.
        """
        with writing(self.engine) as connection:
            return deleting.give_up(connection, experiment, stored=stored, at=at, reason=reason)

    def delete_events(self, experiment: str, *, batch: int = EVENTS_AT_ONCE) -> int:
        """Delete some raw events of an experiment that were given up; return how many, fewer than `batch` at the end.

        Args:
            experiment: its key.
            batch: events, at most.
        """
        with writing(self.engine) as connection:
            return deleting.delete_some(connection, experiment, batch=batch)

    def drop_days_of_events(self, *, at: datetime) -> tuple[DroppedDay, ...]:
        """Drop the partitions whose events are all of given-up experiments, and those of days past that are empty.

        A day that is in use stays: `delete_events` empties it, and the next time it goes. On SQLite there are none.

        Args:
            at: now.

        Returns:
            The days that went.
        """
        if self.engine.dialect.name == "sqlite":
            return ()
        with reading(self.engine) as connection:
            days = deleting.days_to_drop(connection, at=at)
        dropped: list[DroppedDay] = []
        for day in days:
            try:
                with writing(self.engine) as connection:
                    gone = deleting.drop_day(connection, day, at=at)
            except StoreAwayError as error:
                if not deleting.in_use(error):
                    raise
                break
            dropped += [gone] if gone else []
        return tuple(dropped)
