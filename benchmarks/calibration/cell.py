"""A cell of the table: a simulated experiment, what is claimed of it, and whether the figures keep to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

CONFIDENCE = 0.999  # of the binomial bound beside each figure
BLOCK = 100  # repetitions of one seed, so that a short run is the beginning of a long one, on any number of processes

Side = Literal["both", "at most", "at least", "shown"]
"""Where a figure may lie: near its rate, on the safe side of it, or anywhere, where a mistake is on show."""

Vector = NDArray[np.float64]
Simulate = Callable[[np.random.Generator, int], Vector]
"""Simulates so many experiments and returns `(claims,)`, in how many of them each counted event happened."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a figure ought to be.

    Attributes:
        figure: the event whose rate is measured, a column of the table.
        rate: what is promised; of a figure that is only shown, what is known of it, or 0.
        side: where it may lie.
    """

    figure: str
    rate: float = 0.0
    side: Side = "both"


@dataclass(frozen=True, slots=True)
class Section:
    """Cells that are read together.

    Attributes:
        title: heading of their table.
        text: what the reader has to know of them.
    """

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table.

    Attributes:
        section: where it stands.
        case: what is simulated.
        users: in the control and the treatment.
        claims: one a figure, in the order of what `simulate` returns.
        simulate: the experiments.
        times: how many times the repetitions of other cells, for rates that are rare.
    """

    section: Section
    case: str
    users: str
    claims: tuple[Claim, ...]
    simulate: Simulate
    times: int = 1

    @property
    def key(self) -> str:
        """Return what tells it from all others."""
        return f"{self.section.title}: {self.case}, {self.users}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured rate beside its claim.

    Attributes:
        cell: of what.
        claim: what it ought to be.
        count: how often the event happened; of a mean of shares, their sum.
        repetitions: of how many.
    """

    cell: Cell
    claim: Claim
    count: float
    repetitions: int

    @property
    def rate(self) -> float:
        """Return how often the event happened, as a fraction."""
        return self.count / self.repetitions

    @property
    def bound(self) -> tuple[float, float]:
        """Return between which rates chance alone keeps it in 99.9 % of runs.

        A mean of shares, such as a false discovery rate, varies at most as much as that of events as rare.
        """
        low, high = binom.interval(CONFIDENCE, self.repetitions, self.claim.rate)
        match self.claim.side:
            case "both":
                return float(low) / self.repetitions, float(high) / self.repetitions
            case "at most":
                return 0.0, float(binom.ppf(CONFIDENCE, self.repetitions, self.claim.rate)) / self.repetitions
            case "at least":
                return float(binom.ppf(1.0 - CONFIDENCE, self.repetitions, self.claim.rate)) / self.repetitions, 1.0
            case "shown":
                return 0.0, 1.0

    @property
    def within(self) -> bool:
        """Whether the figure keeps to its claim."""
        low, high = self.bound
        return low <= self.rate <= high


def blocks(cell: Cell, repetitions: int) -> int:
    """Return how many blocks a cell needs for so many repetitions of the others.

    Raises:
        ValueError: unless they are whole blocks.
    """
    if repetitions < BLOCK or repetitions % BLOCK:
        raise ValueError(f"repetitions are {repetitions}; they must be a multiple of {BLOCK}")
    return repetitions // BLOCK * cell.times


def run_block(cell: Cell, block: int) -> Vector:
    """Simulate one block; its seed is made of the cell's key and the block's number, and of nothing else."""
    return cell.simulate(np.random.default_rng([crc32(cell.key.encode()), block]), BLOCK)


def figures(cell: Cell, counts: Vector, repetitions: int) -> list[Figure]:
    """Put the counts of a cell beside its claims."""
    return [Figure(cell, *pair, repetitions) for pair in zip(cell.claims, counts.tolist(), strict=True)]


def measure(cell: Cell, repetitions: int) -> list[Figure]:
    """Simulate a cell, in this process."""
    number = blocks(cell, repetitions)
    counts = np.sum([run_block(cell, block) for block in range(number)], axis=0)
    return figures(cell, counts, number * BLOCK)
