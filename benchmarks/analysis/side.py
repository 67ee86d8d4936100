"""One contender in a process of its own: open, ask once by the clock, and tell what it took and what it answered."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event, Thread
from time import perf_counter

import psutil  # type: ignore[import-untyped]

from benchmarks.analysis.contenders import contender
from benchmarks.analysis.world import Data

LOOK_SECONDS = 0.05


class Watch:
    """Memory and processor time of this process, its children and some servers, while it is entered.

    Args:
        servers: processes that work for this one.
    """

    def __init__(self, servers: Sequence[int]) -> None:
        self._servers = [psutil.Process(each) for each in servers]
        self._own = psutil.Process()
        self._done = Event()
        self._thread = Thread(target=self._look_on, daemon=True)
        self._used: dict[int, float] = {}
        self._others = 0
        self._before = 0.0

    def __enter__(self) -> Watch:
        """Begin."""
        self._look()
        self._before = sum(self._used.values())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, with a last look."""
        self._done.set()
        self._thread.join()
        self._look()

    @property
    def cpu_seconds(self) -> float:
        """Return the processor time used since the beginning."""
        return sum(self._used.values()) - self._before

    @property
    def memory(self) -> int:
        """Return the most that was resident, in bytes: of this process ever, and of the others at one look."""
        return _most_resident() + self._others

    def _look_on(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        others = [*self._own.children(recursive=True), *self._servers]
        others += [child for server in self._servers for child in server.children(recursive=True)]
        resident = 0
        for each in {process.pid: process for process in others}.values():
            with suppress(psutil.NoSuchProcess):
                resident += _resident(each)
                self._used[each.pid] = _processor(each)
        self._used[self._own.pid] = _processor(self._own)
        self._others = max(self._others, resident)


def _resident(process: psutil.Process) -> int:
    """Return what a process holds; what several share is divided among them."""
    shares: int = process.memory_full_info().pss
    return shares


def _processor(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _most_resident() -> int:
    """Return the most this process held; `ru_maxrss` would begin with what its parent held."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    line = next(each for each in lines if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Answer the question on the standard input."""
    asked = json.loads(sys.stdin.readline())
    data = Data(**{**asked["data"], "folder": Path(asked["data"]["folder"])})
    side = contender(asked["contender"])
    with side.opened(data) as ask, Watch(side.servers(data)) as watch:
        begun = perf_counter()
        rows = ask()
        seconds = perf_counter() - begun
    told = {"seconds": seconds, "cpu": watch.cpu_seconds, "memory": watch.memory, "rows": [asdict(row) for row in rows]}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
