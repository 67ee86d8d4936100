"""Ours on DuckDB over the archive, a shard at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ab_platform.storage.warehouse.duck import MEMORY, Duck
from benchmarks.analysis.answers import Ask, Contender
from benchmarks.analysis.contenders.warehouse import asked
from benchmarks.analysis.world import Data


class OnDuckDB(Contender):
    """Ours on DuckDB."""

    name = "ours, DuckDB"
    ours = True
    told = f"The expressions of the analysis on DuckDB over the archive, a shard at a time, within {MEMORY}."

    def opened(self, data: Data) -> AbstractContextManager[Ask]:
        """Open the files and the launches."""
        return asked(data, Duck(data.folder, threads=data.threads), data.archive)


CONTENDER = OnDuckDB()
