"""Whose rows an analysis is made of: one experiment's users, or those of several that are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Population:
    """Whose rows are made.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        dataset: where user attributes are looked up.
        earlier: other experiments whose user-days tell what users did before their exposure.
        covariate_days: how long before the exposure they are asked.
        ended_before: whether every day of the earlier experiments lies before every exposure and within these days, so
            that no user's own exposure has to be looked at.
    """

    experiment: str
    as_of: date
    dataset: str
    earlier: tuple[str, ...] = ()
    covariate_days: int = 28
    ended_before: bool = False

    @property
    def experiments(self) -> tuple[str, ...]:
        """Return its key."""
        return (self.experiment,)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return what tells its rows from those of others: nothing does, and nothing has to."""
        return ()

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return its key with each of the earlier experiments."""
        return tuple((self.experiment, earlier) for earlier in self.earlier)


@dataclass(frozen=True)
class Populations:
    """Those of several experiments at once, alike in all but their names: the experiment is a key of every row.

    Attributes:
        experiments: their keys, sorted.
        as_of: last day that counts.
        dataset: where user attributes are looked up.
        pairs: of an experiment and one before it, sorted; an engine is given them as the table `EARLIER`.
        covariate_days: as of one.
        ended_before: as of one.
    """

    experiments: tuple[str, ...]
    as_of: date
    dataset: str
    pairs: tuple[tuple[str, str], ...]
    covariate_days: int
    ended_before: bool

    @property
    def earlier(self) -> tuple[str, ...]:
        """Return the experiments before any of them."""
        return tuple(sorted({earlier for _, earlier in self.pairs}))

    @property
    def keys(self) -> tuple[str, ...]:
        """Return what tells the rows of one from those of the others."""
        return ("experiment",)

    @staticmethod
    def of(alike: Sequence[Population]) -> Populations:
        """Put populations together, at least one."""
        first = alike[0]
        return Populations(
            tuple(sorted({each.experiment for each in alike})),
            first.as_of,
            first.dataset,
            tuple(sorted(pair for each in alike for pair in each.pairs)),
            first.covariate_days,
            first.ended_before,
        )


OneOrMany = Population | Populations

EARLIER = "earlier_experiments"
"""Table of (experiment, earlier) that an engine is given where several experiments are asked of at once."""
