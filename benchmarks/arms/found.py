"""What was measured of all sides, as the report reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.arms.plan import Planned
from benchmarks.arms.side import Outcome, Rates


@dataclass(frozen=True)
class Measured:
    """One measurement.

    Attributes:
        planned: what was asked.
        outcome: what the side measured.
        ndcg: NDCG@100 of the scores it left behind, by our evaluation; None where it left none.
    """

    planned: Planned
    outcome: Outcome
    ndcg: float | None = None

    @property
    def users_a_second(self) -> float:
        """Return the training users a second in the median epoch; the first epoch counts only where it is alone."""
        seconds = self.outcome.epoch_seconds
        return self.outcome.users / median(seconds[1:] or seconds)

    @property
    def ranking_seconds(self) -> float:
        """Return the seconds of ranking for 10,000 users, in proportion where others than 10,000 were ranked."""
        seconds = self.outcome.evaluation_seconds
        assert seconds is not None, f"{self.planned.name} ranked for nobody"
        return seconds / self.planned.trial.evaluated * 10_000

    @property
    def judged(self) -> float:
        """Return NDCG@100, of a side that left scores behind."""
        assert self.ndcg is not None, f"{self.planned.name} left no scores"
        return self.ndcg


@dataclass(frozen=True)
class Found:
    """All measurements of a run.

    Attributes:
        rates: of the machine.
        sides: by name in the plan; peers that were left out are absent.
        seconds: spent on all of them, over as many runs as it took.
    """

    rates: Rates
    sides: Mapping[str, Measured]
    seconds: float
