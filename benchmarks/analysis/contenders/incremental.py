"""Ours on DuckDB the day after: all days but the last are in running totals, and the last is added."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from ab_platform.storage.archive import Archive
from ab_platform.storage.warehouse.duck import Duck
from benchmarks.analysis.answers import Ask, Contender
from benchmarks.analysis.contenders.warehouse import asked
from benchmarks.analysis.world import LAST_DAY, Data

RUNNING, STANDING = "running", "running-before"


class Incremental(Contender):
    """Ours, a day's increment."""

    name = "ours, DuckDB, a day more"
    ours = True
    told = (
        "The same answer where the day before was analysed: running totals of the users stand, and those who came on "
        "the last day are added. Making the totals of the days before is not timed."
    )

    def prepare(self, data: Data) -> None:
        """Analyse as of the day before, in an archive of its own with the same files."""
        folder = _folder(data)
        if (folder / STANDING).exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for each in (data.folder / "archive").iterdir():
            if each.name != RUNNING:
                (folder / each.name).symlink_to(each.resolve())
        engine = Duck(data.folder, threads=data.threads)
        with asked(data, engine, Archive(folder), as_of=LAST_DAY - timedelta(days=1)) as ask:
            ask()
        (folder / RUNNING).rename(folder / STANDING)

    @contextmanager
    def opened(self, data: Data) -> Iterator[Ask]:
        """Put the running totals back to the day before; their files never change, so that links do."""
        folder = _folder(data)
        shutil.rmtree(folder / RUNNING, ignore_errors=True)
        shutil.copytree(folder / STANDING, folder / RUNNING, copy_function=os.link)
        with asked(data, Duck(data.folder, threads=data.threads), Archive(folder)) as ask:
            yield ask


def _folder(data: Data) -> Path:
    return data.folder / "incremental"


CONTENDER = Incremental()
