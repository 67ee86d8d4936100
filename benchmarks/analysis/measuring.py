"""Each contender over growing users, each time in a process of its own, until it would take too long."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.analysis import data as drawn
from benchmarks.analysis.answers import Row
from benchmarks.analysis.contenders import contender
from benchmarks.analysis.world import Data

ROOT = Path(__file__).parents[2]
ONCE_SECONDS = 30.0
"""A contender that takes longer is asked once a size."""
TOLD = 20
"""Lines of what a failed side printed."""

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Once:
    """One question: seconds by the clock and of the processors, the most memory in bytes, and the answer."""

    seconds: float
    cpu: float
    memory: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Measured:
    """What a contender took over some users.

    Attributes:
        contender: its name on the command line.
        users: how many.
        rounds: each time it was asked; none where it was not.
        why: it was not asked; None where it was.
    """

    contender: str
    users: int
    rounds: tuple[Once, ...] = ()
    why: str | None = None

    @property
    def seconds(self) -> float:
        """Return the median by the clock."""
        return median(each.seconds for each in self.rounds)

    @property
    def cpu(self) -> float:
        """Return the median of the processors' time."""
        return median(each.cpu for each in self.rounds)

    @property
    def memory(self) -> int:
        """Return the most memory of any round, in bytes."""
        return max(each.memory for each in self.rounds)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Return the answer."""
        return self.rounds[0].rows if self.rounds else ()


@dataclass(frozen=True)
class Asked:
    """What is measured.

    Attributes:
        home: folder of the archives and databases.
        users: sizes, growing.
        contenders: by name.
        rounds: questions at each size.
        patience: seconds that no contender is to take.
        processes: that draw users side by side.
        keep: whether the data of a size stay once it is measured.
    """

    home: Path
    users: tuple[int, ...]
    contenders: tuple[str, ...]
    rounds: int = 3
    patience: float = 120.0
    processes: int = 2
    keep: bool = True


def measure(asked: Asked, *, tell: Tell = print) -> list[Measured]:
    """Ask every contender at every size that it has the time for."""
    found: list[Measured] = []
    for users in asked.users:
        data = Data(asked.home / f"{users}", users)
        tell(f"drawing {users:,} users into {data.folder}")
        drawn.make(data, processes=asked.processes)
        found += _size(asked, data, found, tell)
        if not asked.keep:
            shutil.rmtree(data.folder)
    return found


def reason(name: str, users: int, before: Sequence[Measured], patience: float) -> str | None:
    """Say why a contender is not asked: it cannot run here, or would take too long."""
    earlier = [each for each in before if each.contender == name]
    if not earlier:
        return contender(name).absent()
    last = earlier[-1]
    if last.why is not None:
        return last.why
    expected = last.seconds * users / last.users
    if expected <= patience:
        return None
    return f"about {expected:,.0f} s by the size before, over the {patience:,.0f} s that were given"


def _size(asked: Asked, data: Data, before: Sequence[Measured], tell: Tell) -> Iterator[Measured]:
    """Ask the contenders at one size, in turn, so that a drift of the machine meets them all."""
    why = {name: reason(name, data.users, before, asked.patience) for name in asked.contenders}
    taken: dict[str, list[Once]] = {name: [] for name in asked.contenders}
    able = [name for name in asked.contenders if why[name] is None]
    for number in range(asked.rounds):
        for name in able:
            if taken[name] and taken[name][0].seconds > ONCE_SECONDS:
                continue
            if not number:
                contender(name).prepare(data)
            taken[name].append(once(name, data))
            tell(f"{data.users:,} users, {name}: {taken[name][-1].seconds:.2f} s")
    for name in asked.contenders:
        yield Measured(name, data.users, tuple(taken[name]), why[name])


def once(name: str, data: Data) -> Once:
    """Ask a contender once, in a fresh process.

    Raises:
        SystemExit: where it fails.
    """
    question = json.dumps({"contender": name, "data": {**asdict(data), "folder": str(data.folder)}})
    command = [str(contender(name).python), "-m", "benchmarks.analysis.side"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, input=question + "\n", env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stderr.splitlines()[-TOLD:])
        raise SystemExit(f"{last}\n{name} stopped with status {done.returncode} over {data.users:,} users")
    told = json.loads(done.stdout.splitlines()[-1])
    return Once(told["seconds"], told["cpu"], told["memory"], tuple(Row(**row) for row in told["rows"]))
