"""Whether all sides found the same: ours to the digit, the peers' lifts before any adjustment to a millionth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.analysis.answers import Row
from benchmarks.analysis.contenders import contender
from benchmarks.analysis.measuring import Measured

MOST_APART = 1e-6
"""Of a lift: sums of floating-point numbers depend on their order, and the peers' are such."""


@dataclass(frozen=True)
class Agreement:
    """What one side found, against ours at the same size.

    Attributes:
        contender: its name on the command line.
        users: the size.
        same: whether each digit is the same.
        plain_apart: the most that a lift without adjustment is apart, as a share of it.
        adjusted_apart: the most that an adjusted lift is apart, in half-widths of our interval.
        widths: the narrowest and the widest of its intervals, over ours.
    """

    contender: str
    users: int
    same: bool
    plain_apart: float
    adjusted_apart: float
    widths: tuple[float, float]

    @property
    def holds(self) -> bool:
        """Return whether it agrees as it must."""
        return self.same if contender(self.contender).ours else self.plain_apart <= MOST_APART


def reference(found: Iterable[Measured], users: int) -> Measured | None:
    """Return the first of ours that was asked at a size."""
    ours = (each for each in found if each.users == users and each.rows and contender(each.contender).ours)
    return next(ours, None)


def agreements(found: Sequence[Measured]) -> list[Agreement]:
    """Compare every side with ours, at every size that both were asked at, and every round with the first."""
    pairs = ((reference(found, each.users), each) for each in found if each.rows)
    return [_agreement(ours, each) for ours, each in pairs if ours is not None and ours is not each]


def _agreement(ours: Measured, other: Measured) -> Agreement:
    pairs = [(_of(ours.rows, each), each) for once in other.rounds for each in once.rows]
    widths = [row.half_width / own.half_width for own, row in pairs]
    return Agreement(
        other.contender,
        other.users,
        all(once.rows == ours.rows for once in (*ours.rounds, *other.rounds)),
        max(abs(row.plain - own.plain) / abs(own.plain) for own, row in pairs),
        max(abs(row.lift - own.lift) / own.half_width for own, row in pairs),
        (min(widths), max(widths)),
    )


def _of(rows: Sequence[Row], wanted: Row) -> Row:
    return next(row for row in rows if (row.surface, row.metric) == (wanted.surface, wanted.metric))
