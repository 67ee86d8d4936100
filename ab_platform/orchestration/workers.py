"""The LocalExecutor's workers, watched: one that is killed while it waits for work stops all others.

It dies with the lock of the queue that they share, so that no task starts any more, and nothing tells. What helps is a
new scheduler, with a new queue; tasks that ran are taken over by it, as after the death of a scheduler.
"""

from __future__ import annotations

from pathlib import Path

import psutil  # type: ignore[import-untyped]

from ab_platform.orchestration.processes import marked

SCHEDULER = "scheduler"
TITLE = "airflow worker -- LocalExecutor: "
IDLE = f"{TITLE}<idle>"


class Workers:
    """The workers of the Airflow in a home, as they were at the last look.

    Args:
        home: of the Airflow.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._scheduler: psutil.Process | None = None
        self._idle: frozenset[int] = frozenset()

    def mend(self) -> bool:
        """Kill the scheduler where a worker was killed since the last look while it waited; return whether.

        Whoever keeps the scheduler starts it again.
        """
        titles = self._titles()
        lost = self._idle - titles.keys()
        self._idle = frozenset(pid for pid, title in titles.items() if title == IDLE)
        if not lost or self._scheduler is None:
            return False
        try:
            self._scheduler.kill()
        except psutil.Error:  # gone meanwhile
            return False
        self._forget()
        return True

    def _titles(self) -> dict[int, str]:
        """Return the titles of the scheduler's workers by their process ids; none while no scheduler runs."""
        try:
            scheduler = self._found()
            return {} if scheduler is None else dict(filter(None, map(_worker, scheduler.children())))
        except psutil.Error:
            self._forget()
            return {}

    def _found(self) -> psutil.Process | None:
        if self._scheduler is None or not self._scheduler.is_running():
            self._forget()
            own = [each for each in marked(self._home, SCHEDULER) if _line(each).endswith(f"airflow {SCHEDULER}")]
            self._scheduler = own[0] if own else None
        return self._scheduler

    def _forget(self) -> None:
        self._scheduler, self._idle = None, frozenset()


def _worker(process: psutil.Process) -> tuple[int, str] | None:
    line = _line(process)
    return (process.pid, line) if line.startswith(TITLE) else None


def _line(process: psutil.Process) -> str:
    """Return how a process is called; empty for one that ended."""
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""
