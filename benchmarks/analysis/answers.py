"""What every contender answers, and what a contender is."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.analysis.world import Data


@dataclass(frozen=True)
class Row:
    """One row of Table 2.

    Attributes:
        surface: where.
        metric: what.
        lift: adjusted for what users did before, as far as the contender does.
        low: end of its interval.
        high: the other end.
        plain: lift without any adjustment.
        users: exposed on the surface; 0 where the contender does not say.
        variation: coefficient of variation of a user, in the mean square of both arms; of ours alone.
        kept: share of the variance that the adjustment left; of ours alone.
    """

    surface: str
    metric: str
    lift: float
    low: float
    high: float
    plain: float
    users: int = 0
    variation: float | None = None
    kept: float | None = None

    @property
    def half_width(self) -> float:
        """Return half the interval's width."""
        return (self.high - self.low) / 2.0


Ask = Callable[[], Sequence[Row]]
"""What is timed: from the stored rows to the answer; a floor answers nothing."""


class Contender(ABC):
    """One side of the comparison.

    Attributes:
        name: in the table.
        told: what it does, in a sentence.
        ours: whether its answer must be ours to the digit.
        python: interpreter of the process that it is asked in.
    """

    name: str
    told: str
    ours = False
    python = Path(sys.executable)

    def absent(self) -> str | None:
        """Say why it cannot run here; None where it can."""
        return None

    def prepare(self, data: Data) -> None:  # noqa: B027, most need nothing
        """Load what is not there yet; not timed."""

    @abstractmethod
    def opened(self, data: Data) -> AbstractContextManager[Ask]:
        """Open in a fresh process, not timed, and give what is timed."""

    def servers(self, data: Data) -> Sequence[int]:
        """Return the processes that work for it beyond its own and its children, once it is opened."""
        return ()
