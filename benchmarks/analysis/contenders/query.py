"""Ours as a query of DuckDB, as sums by segment are asked."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ab_platform.storage.warehouse.duck import MEMORY, Duck
from benchmarks.analysis.answers import Ask, Contender
from benchmarks.analysis.contenders.warehouse import asked
from benchmarks.analysis.world import Data


class Query(Duck):
    """DuckDB that is asked everything, as an engine on another machine is."""

    embedded = False


class AsQuery(Contender):
    """Ours on DuckDB."""

    name = "ours, DuckDB"
    ours = True
    told = (
        "The expressions of the analysis as a query of DuckDB over the archive, a shard at a time, within "
        f"{MEMORY}: as sums by segment are asked."
    )

    def opened(self, data: Data) -> AbstractContextManager[Ask]:
        """Open the files and the launches."""
        return asked(data, Query(data.folder, threads=data.threads), data.archive)


CONTENDER = AsQuery()
