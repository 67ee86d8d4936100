"""The processes of one Airflow on this machine, found by a mark in their environment, and their end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]

HOME_VARIABLE = "AIRFLOW_HOME"
MARK_VARIABLE = "ABP_AIRFLOW_COMPONENT"

GRACE_SECONDS = 5.0


def marked(home: Path, component: str | None = None) -> list[psutil.Process]:
    """Return the processes that belong to a home, and to one component of it where that is given.

    A child inherits the environment, so that a task's process is found also where it leads a group of its own and
    nobody is left who knows it. This process and those above it are not among them.
    """
    spared = {psutil.Process().pid, *(each.pid for each in psutil.Process().parents())}
    return [each for each in psutil.process_iter() if each.pid not in spared and _belongs(each, home, component)]


def end(processes: Sequence[psutil.Process], *, grace_seconds: float = GRACE_SECONDS) -> None:
    """End processes: ask each to, and kill those that are still there after a while."""
    for each in processes:
        _signal(each, kill=False)
    _, alive = psutil.wait_procs(processes, timeout=grace_seconds)
    for each in alive:
        _signal(each, kill=True)
    psutil.wait_procs(alive, timeout=grace_seconds)


def _belongs(process: psutil.Process, home: Path, component: str | None) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):  # another user's, or gone meanwhile
        return False
    mark = environment.get(MARK_VARIABLE)
    return environment.get(HOME_VARIABLE) == str(home) and mark is not None and component in (None, mark)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.Error:  # gone meanwhile
        return
