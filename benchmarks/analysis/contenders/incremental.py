"""Ours the day after: all days but the last are in running totals, and the last is added."""

from __future__ import annotations

from contextlib import AbstractContextManager

from benchmarks.analysis.answers import Ask, Contender
from benchmarks.analysis.contenders import standing
from benchmarks.analysis.world import Data


class Incremental(Contender):
    """Ours, a day's increment."""

    name = "ours, a day more"
    ours = True
    told = (
        "The same answer where the day before was analysed: running totals of the users stand, and those who came on "
        "the last day are added. Making the totals of the days before is not timed."
    )

    def prepare(self, data: Data) -> None:
        """Analyse day by day."""
        standing.make(data)

    def opened(self, data: Data) -> AbstractContextManager[Ask]:
        """Put the running totals back to the day before."""
        return standing.opened(data, standing.DAY_BEFORE)


CONTENDER = Incremental()
