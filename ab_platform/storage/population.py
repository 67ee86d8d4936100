"""Whose rows an analysis is made of."""

from __future__ import annotations

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
