"""The lifts that were put in against those that were found, and the intervals against those that planning predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ab_platform.results import Truth
from ab_platform.simulation.plan import truths
from ab_platform.statistics.power import detectable_lift
from benchmarks.analysis.answers import Row
from benchmarks.analysis.world import PLAN

EVEN = (0.5, 0.5)
BARELY = 0.5
"""The power at which the detectable lift is as far from 0 as the interval reaches."""


@dataclass(frozen=True)
class Known:
    """One row against its truth.

    Attributes:
        row: as found.
        true: the lift that was put in.
        predicted: half-width of the interval, from the users that are there and what fewer users showed before.
    """

    row: Row
    true: float
    predicted: float

    @property
    def inside(self) -> bool:
        """Return whether the truth lies in the interval."""
        return self.row.low <= self.true <= self.row.high


def known(rows: Sequence[Row], past: Sequence[Row]) -> list[Known]:
    """Set each row against its truth, and its interval against what is predicted from a smaller experiment.

    Args:
        rows: of ours.
        past: of ours over fewer users, the same rows.
    """
    behaviours = PLAN.made
    told = truths(replace(PLAN.experiment, guardrails=()), behaviours.control, behaviours.treatment)
    true: dict[tuple[str, str], Truth] = {(each.surface, each.metric): each for each in told}
    before = {(each.surface, each.metric): each for each in past}
    return [_known(row, true[row.surface, row.metric], before[row.surface, row.metric]) for row in rows]


def _known(row: Row, truth: Truth, past: Row) -> Known:
    assert truth.lift is not None
    assert past.variation is not None
    assert past.kept is not None
    reach = detectable_lift(
        users=row.users,
        weights=EVEN,
        coefficient_of_variation=past.variation,
        power=BARELY,
        variance_kept=past.kept,
    )
    # A plan takes both arms for alike; where the treatment's mean is larger its spread is so too.
    return Known(row, truth.lift, reach * (1.0 + truth.lift))
