"""The order in which a readout holds its rows: as the experiment has them, whatever order they were stored in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, get_args

from ab_platform.analysis.segments import natural
from ab_platform.events import Surface
from ab_platform.experiment import Experiment
from ab_platform.results import Check, CheckName, LiftView, SegmentRow

CHECKS: tuple[CheckName, ...] = get_args(CheckName)


class _OfRow(Protocol):
    """What belongs to a row of the table and a treatment."""

    @property
    def surface(self) -> Surface: ...

    @property
    def metric(self) -> str: ...

    @property
    def arm(self) -> str: ...


@dataclass(frozen=True)
class Order:
    """The keys by which the parts of one experiment's readout are sorted.

    Attributes:
        rows: surface and metric of each row.
        arms: names, as the experiment has them.
        scopes: `all`, then the surfaces.
    """

    rows: Sequence[tuple[Surface, str]]
    arms: Sequence[str]
    scopes: Sequence[str]

    @classmethod
    def of(cls, experiment: Experiment) -> Order:
        """Return the order of an experiment."""
        rows = [(row.surface, row.metric.name) for row in experiment.rows]
        return cls(rows, [arm.name for arm in experiment.arms], ["all", *experiment.surfaces])

    def row(self, each: _OfRow) -> tuple[int, int]:
        """Give the place of a row; one that the experiment does not have is last."""
        return _place((each.surface, each.metric), self.rows), self.arms.index(each.arm)

    def segment(self, each: SegmentRow) -> tuple[tuple[int, int], str, tuple[int, str]]:
        """Give the place of a row among segments, which lie together by their dimension."""
        return self.row(each), each.dimension, natural(each.segment)

    def view(self, each: LiftView) -> tuple[tuple[int, int], int, bool, str]:
        """Give the place of a view: by row, then by baseline, without covariates first, fixed first."""
        return self.row(each.row), self.arms.index(each.baseline), each.covariates, each.row.monitoring

    def scope(self, scope: str) -> tuple[int, str, tuple[int, str]]:
        """Give the place of a check of the split."""
        dimension, _, segment = scope.partition(" ")
        return _place(scope, self.scopes), dimension, natural(segment)

    def check(self, each: Check) -> tuple[int, tuple[int, int], str]:
        """Give the place of a check of the data: by what is looked at, then the surface, then the arm."""
        first, _, second = each.scope.partition(" ")
        arm = second or first
        place = (_place(first, self.scopes), _place(arm, self.arms) if arm in self.arms else -1)
        return CHECKS.index(each.check), place, each.scope


def _place(item: object, places: Sequence[object]) -> int:
    return places.index(item) if item in places else len(places)
