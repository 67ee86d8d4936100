"""Many experiments in one day's files against one experiment with as many rows in all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.analysis import data as drawn
from benchmarks.analysis.measuring import Once, Tell, once
from benchmarks.analysis.world import Data

CONTENDER = "archive"


@dataclass(frozen=True)
class Many:
    """What was found.

    Attributes:
        experiments: how many.
        users: in all of them, and in the one.
        many: each time all of them were analysed, together.
        one: each time the one was.
    """

    experiments: int
    users: int
    many: tuple[Once, ...]
    one: tuple[Once, ...]

    @property
    def ratio(self) -> float:
        """Return the median over rounds of how many times as long the many take."""
        pairs = zip(self.many, self.one, strict=True)
        return median(many.seconds / one.seconds for many, one in pairs)


def measure(home: Path, *, experiments: int, users: int, rounds: int, processes: int, tell: Tell = print) -> Many:
    """Analyse many experiments, and one of their size in all, in turn."""
    both = (Data(home / f"{users}-by-{experiments}", users, experiments), Data(home / f"{users}", users))
    found: dict[Data, list[Once]] = {data: [] for data in both}
    for data in both:
        tell(f"drawing {users:,} users for {data.experiments} experiments into {data.folder}")
        drawn.make(data, processes=processes)
    for _ in range(rounds):
        for data in both:
            found[data].append(once(CONTENDER, data))
            tell(f"{data.experiments} experiments: {found[data][-1].seconds:.2f} s")
    return Many(experiments, users, tuple(found[both[0]]), tuple(found[both[1]]))
