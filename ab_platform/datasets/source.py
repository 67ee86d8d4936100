"""What every source of interactions gives: titles, batches of rows, and a hash of its content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ab_platform.errors import DataError
from ab_platform.lineage import Title

Unit = Literal["bytes", "rows"]

Tick = Callable[[int], None]
"""Takes how much of a source's `size` is done so far."""


@dataclass(frozen=True)
class IngestProgress:
    """How far an ingest has come.

    Attributes:
        stage: what is going on, in a word or two.
        done: units done in this stage.
        total: units of the whole stage, or None where unknown.
        unit: `bytes` or `rows`.
    """

    stage: str
    done: int
    total: int | None
    unit: Unit


@dataclass(frozen=True, eq=False)
class Batch:
    """Interactions as columns, `rows` long each.

    Attributes:
        user_ids: who, (rows,).
        title_ids: with what, (rows,).
        ratings: how much it was liked, (rows,), or None where the source has no ratings.
        at: unix seconds, (rows,), or None where the source has no times.
        done: how much of the source's `size` is read after this batch.
    """

    user_ids: list[str]
    title_ids: list[str]
    ratings: NDArray[np.float64] | None
    at: NDArray[np.int64] | None
    done: int


class BadRows:
    """What happens to rows that cannot be taken: refused, or left out and counted.

    Attributes:
        skip: leave bad rows out.
        count: bad rows met so far.
    """

    def __init__(self, *, skip: bool) -> None:
        self.skip = skip
        self.count = 0

    def meet(self, place: str, problem: str) -> None:
        """Count a bad row, or refuse the source for it.

        Args:
            place: file and line, as `ratings.dat:1234`.
            problem: the value found and what is required.

        Raises:
            DataError: unless bad rows are skipped.
        """
        if not self.skip:
            raise DataError(f"{place}: {problem}; mend the line, or count bad lines instead with --skip-bad")
        self.count += 1


class Source(Protocol):
    """Where interactions come from.

    Memory stays bounded by a batch and by the number of titles.
    """

    @property
    def name(self) -> str:
        """Return the data set's name where the caller gives none."""

    @property
    def place(self) -> str:
        """Return where it comes from, for people."""

    @property
    def unit(self) -> Unit:
        """Return what `size` counts."""

    @property
    def size(self) -> int:
        """Return how much there is to read."""

    def content_hash(self, tick: Tick) -> str:
        """Return the sha256, in hex, of all that the interactions and titles are made from."""

    def titles(self, bad: BadRows) -> Iterator[Title]:
        """Yield what can be watched; an id may come more than once, the first one counts."""

    def batches(self, bad: BadRows) -> Iterator[Batch]:
        """Yield the interactions in the order of the source."""
