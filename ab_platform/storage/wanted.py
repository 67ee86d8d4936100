"""What an analysis is going to ask of users, said ahead, so that several can be asked at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ab_platform.storage.per_user import PerUser
from ab_platform.storage.population import Population


@dataclass(frozen=True)
class Wanted:
    """What will be asked of one population; see `UserReads`.

    Attributes:
        population: whose rows.
        families: whose sums are wanted.
        dimensions: that divide the users, by the query that they are divided in.
        segments: that first exposures are divided by.
        ages: families whose sums by days since the exposure are wanted.
        rest: whether users by day, by first exposure and by user-day are wanted too.
    """

    population: Population
    families: tuple[tuple[PerUser, ...], ...]
    dimensions: tuple[tuple[str, ...], ...] = ((),)
    segments: tuple[str, ...] = ()
    ages: tuple[tuple[PerUser, ...], ...] = ()
    rest: bool = True


Progress = Callable[[int, int], None]
"""Told how many of how many are done."""


def untold(done: int, total: int) -> None:
    """Tell nobody."""
