"""An archive with the same files and running totals of its own, put back to how they stood at each question."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from ab_platform.storage.archive import Archive
from ab_platform.storage.warehouse.duck import Duck
from benchmarks.analysis.answers import Ask
from benchmarks.analysis.contenders.warehouse import asked
from benchmarks.analysis.world import LAST_DAY, Data

RUNNING = "running"
DAY_BEFORE, ALL_DAYS = "running-day-before", "running-all-days"
"""Where totals and sums are kept as of the day before the last; and totals through the last, without their sums."""


def make(data: Data) -> None:
    """Analyse as of the day before the last, then as of the last, and keep what stood after each."""
    folder = _folder(data)
    if (folder / ALL_DAYS).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for each in (data.folder / "archive").iterdir():
        if each.name != RUNNING:
            (folder / each.name).symlink_to(each.resolve())
    _analyse(data, LAST_DAY - timedelta(days=1))
    _copy(folder / RUNNING, folder / DAY_BEFORE)
    _analyse(data, LAST_DAY)
    for sums in folder.glob(f"{RUNNING}/*/sums-*.json"):
        sums.unlink()
    (folder / RUNNING).rename(folder / ALL_DAYS)


@contextmanager
def opened(data: Data, kept: str) -> Iterator[Ask]:
    """Put running totals back, and give what is timed."""
    folder = _folder(data)
    shutil.rmtree(folder / RUNNING, ignore_errors=True)
    _copy(folder / kept, folder / RUNNING)
    with asked(data, Duck(data.folder, threads=data.threads), Archive(folder)) as ask:
        yield ask


def _analyse(data: Data, as_of: date) -> None:
    with asked(data, Duck(data.folder, threads=data.threads), Archive(_folder(data)), as_of=as_of) as ask:
        ask()


def _copy(one: Path, other: Path) -> None:
    """Copy totals by links, since their files never change; sums are replaced as a whole, so that theirs may be too."""
    shutil.copytree(one, other, copy_function=os.link)


def _folder(data: Data) -> Path:
    return data.folder / "standing"
