"""Ours over running totals: they stand through the last day, and all users are added up."""

from __future__ import annotations

from contextlib import AbstractContextManager

from benchmarks.analysis.answers import Ask, Contender
from benchmarks.analysis.contenders import standing
from benchmarks.analysis.world import Data


class Totals(Contender):
    """Ours, a new question of all days."""

    name = "ours, running totals"
    ours = True
    told = (
        "The same answer from the running totals of users through the last day, as when a metric is new: what each "
        "user did is read and multiplied, and nothing is grouped by user. Making the totals is not timed."
    )

    def prepare(self, data: Data) -> None:
        """Analyse day by day."""
        standing.make(data)

    def opened(self, data: Data) -> AbstractContextManager[Ask]:
        """Keep the totals, and forget what they add up to."""
        return standing.opened(data, standing.ALL_DAYS)


CONTENDER = Totals()
