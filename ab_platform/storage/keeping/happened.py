"""What users saw and did, as it comes in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta

from sqlalchemy import Engine

from ab_platform.events import AnyEvent, Exposure
from ab_platform.results import Outcome
from ab_platform.storage import events, partitions
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.events import OutcomeColumns, Recorded, Status
from ab_platform.storage.keeping.kept import Kept

RECORD_ATTEMPTS = 4
"""Times that recording may find no partition for a day, since it is new or went in between, before it gives up."""


class Happened(Kept):
    """Events, exposures and the outcomes of a replay."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._days = partitions.Days()

    def record(self, batch: Sequence[AnyEvent], outcomes: Sequence[Outcome] = ()) -> Recorded:
        """Store events, and what replayed users do under every arm; what is there already stays.

        Events of an experiment whose raw events were deleted are too late: they are counted in the answer only.

        Raises:
            EventError: for an id that is not time-ordered.
            NotFoundError: for an experiment that is not launched, or an arm that it does not have.
            ExperimentError: for outcomes of an experiment whose raw events were deleted.
        """
        return events.summed(self._recorded(batch, outcomes))

    def record_each(self, batch: Sequence[AnyEvent | Exposure]) -> tuple[Status, ...]:
        """Store events and exposures, and say what became of each, in the order of the batch.

        Of two transactions with the same event, exactly one is told that it stored it.

        Raises:
            EventError: for an id that is not time-ordered.
            NotFoundError: for an experiment that is not launched, or an arm that it does not have.
        """
        return self._recorded(batch, ())

    def _recorded(self, batch: Sequence[AnyEvent | Exposure], outcomes: Sequence[Outcome]) -> tuple[Status, ...]:
        """Record, again where a day had no partition yet, or lost it in between."""
        for _ in range(RECORD_ATTEMPTS):
            try:
                return self._record_once(batch, outcomes)
            except partitions.DaysMissingError as error:
                self._make_partitions(error.days)
            except Exception as error:
                if not partitions.lacking(error):
                    raise
                self._days.forget()
        return self._record_once(batch, outcomes)

    def _record_once(self, batch: Sequence[AnyEvent | Exposure], outcomes: Sequence[Outcome]) -> tuple[Status, ...]:
        with writing(self.engine) as connection:
            events.write_outcomes(connection, outcomes)
            return events.record_each(connection, batch, self._days)

    def make_partitions(self, *, since: date, days: int) -> int:
        """Make the partitions of events for some days ahead, so that nothing that is recorded waits for it.

        On SQLite there are none.

        Args:
            since: the first day.
            days: how many.

        Returns:
            How many were made; those that were there are not counted.
        """
        return self._make_partitions({since + timedelta(days=day) for day in range(days)})

    def _make_partitions(self, days: Collection[date]) -> int:
        if self.engine.dialect.name == "sqlite":
            return 0
        with writing(self.engine) as connection:
            return partitions.make(connection, days)

    def replayed_users(self, experiment: str) -> frozenset[str]:
        """Return the users whose outcomes are known under every arm."""
        with reading(self.engine) as connection:
            return events.replayed_users(connection, experiment)

    def outcomes(self, experiment: str) -> tuple[OutcomeColumns, ...]:
        """Return the outcomes of a replay, a surface and arm each, aligned by user; nothing without a replay."""
        with reading(self.engine) as connection:
            return events.outcomes(connection, experiment)
