"""Ours over the archive, with nothing known of the days before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from ab_platform.storage.warehouse.duck import Duck
from benchmarks.analysis.answers import Ask, Contender
from benchmarks.analysis.contenders.warehouse import asked
from benchmarks.analysis.world import Data


class OverArchive(Contender):
    """Ours over the archive."""

    name = "ours, archive"
    ours = True
    told = (
        "The analysis over the archive with `ABP_WAREHOUSE=duckdb`, of all days at once: users are added up by their "
        "numbers, which archiving gave them, a shard at a time. No totals stand."
    )

    @contextmanager
    def opened(self, data: Data) -> Iterator[Ask]:
        """Open the files and the launches, and forget what was known."""
        shutil.rmtree(data.folder / "archive" / "running", ignore_errors=True)
        with asked(data, Duck(data.folder, threads=data.threads), data.archive) as ask:
            yield ask


CONTENDER = OverArchive()
