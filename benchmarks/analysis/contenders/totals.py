"""Ours on DuckDB over running totals: every day of them is there, and all are added up."""

from __future__ import annotations

from contextlib import AbstractContextManager

from benchmarks.analysis.answers import Ask, Contender
from benchmarks.analysis.contenders import standing
from benchmarks.analysis.world import Data


class Totals(Contender):
    """Ours, a new question of all days."""

    name = "ours, DuckDB, running totals"
    ours = True
    told = (
        "The same answer from the running totals of all days, as when a metric is new: each day's row of a user is "
        "read once, and none is grouped by user. Making the totals is not timed; each day's were made with the day."
    )

    def prepare(self, data: Data) -> None:
        """Analyse day by day."""
        standing.make(data)

    def opened(self, data: Data) -> AbstractContextManager[Ask]:
        """Keep the rows, and forget what they add up to."""
        return standing.opened(data, standing.ALL_DAYS)


CONTENDER = Totals()
