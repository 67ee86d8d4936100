"""What the buckets in force promised each arm on each day, and counts tested against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta

import numpy as np
from numpy.typing import NDArray

from ab_platform.diagnosis.rehashing import Counts, steps
from ab_platform.lineage import Change, Launch, phases
from ab_platform.statistics.sample_ratio import SampleRatio, stratified
from ab_platform.statistics.split_diagnosis import Missing, missing


@dataclass(frozen=True, eq=False)
class Expectation:
    """What was promised.

    Attributes:
        arms: their names, control first.
        days: from the experiment's first to the last that counts.
        weights: `(days, arms)` buckets of each arm.
    """

    arms: tuple[str, ...]
    days: tuple[date, ...]
    weights: NDArray[np.int64]

    def tested(self, counts: Counts, *, tests: int = 1) -> SampleRatio:
        """Test `(days, arms)` users, the days of equal weights together."""
        kinds, kind = np.unique(self.weights, axis=0, return_inverse=True)
        strata = [counts[kind == place].sum(axis=0).tolist() for place in range(len(kinds))]
        used = [place for place, stratum in enumerate(strata) if any(stratum)] or [0]
        return stratified([strata[place] for place in used], [kinds[place].tolist() for place in used], tests=tests)

    def expected(self, counts: Counts) -> NDArray[np.float64]:
        """Return the users promised, `(days, arms)`, of all that there are on each day."""
        promised: NDArray[np.float64] = self.weights / self.weights.sum(axis=1, keepdims=True)
        users: NDArray[np.float64] = promised * counts.sum(axis=1, keepdims=True)
        return users

    def shares(self, counts: Counts) -> NDArray[np.float64]:
        """Return the share promised each arm, `(arms,)`, of users who came as `(days, arms)` counts did."""
        promised = self.expected(counts).sum(axis=0)
        if not promised.any():
            promised = self.weights.sum(axis=0).astype(np.float64)
        shares: NDArray[np.float64] = promised / promised.sum()
        return shares

    def missing(self, counts: Counts, arm: int) -> Missing | None:
        """Estimate whom an arm lacks in `(days, arms)` counts; None for one that was promised nobody, or all."""
        share = float(self.shares(counts)[arm])
        if not 0.0 < share < 1.0:
            return None
        users = counts.sum(axis=0)
        return missing(int(users[arm]), int(users.sum() - users[arm]), share=share)

    def shortest(self, counts: Counts) -> tuple[int, Missing] | None:
        """Return the arm that lacks the most in its standard errors; None where nobody is."""
        if not counts.any():
            return None
        found = [(place, lack) for place in range(len(self.arms)) if (lack := self.missing(counts, place))]
        return max(found, key=lambda each: each[1].z, default=None)


def expectation(launch: Launch, changes: Sequence[Change], *, as_of: date) -> Expectation:
    """Say what was promised from an experiment's first day to the last that counts."""
    experiment = launch.experiment
    first = launch.starts_at.astimezone(UTC).date()
    days = tuple(first + timedelta(days=number) for number in range((as_of - first).days + 1))
    spans = phases(launch, changes)
    ramped = len(steps(launch, changes)) > 1
    highest = max(phase.traffic for phase in spans)
    # Days before the first phase are none of the experiment's; replayed visits know one traffic.
    traffic = [[each.traffic for each in spans if each.since <= day][-1] if ramped else highest for day in days]
    names = tuple(arm.name for arm in (experiment.control, *experiment.treatments))
    return Expectation(names, days, np.array([_buckets(launch, names, each) for each in traffic], dtype=np.int64))


def _buckets(launch: Launch, names: Sequence[str], traffic: float) -> list[int]:
    """Return the buckets of each arm; of a traffic that lets nobody in, those of all, since someone may be late."""
    experiment = launch.experiment
    for share in (traffic, 1.0):
        ranges = zip(experiment.arms, experiment.ranges(share), strict=True)
        sizes = {arm.name: end - start for arm, (start, end) in ranges}
        if any(sizes.values()):
            break
    return [sizes[name] for name in names]
