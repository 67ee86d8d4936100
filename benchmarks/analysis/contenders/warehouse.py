"""Ours over the archive: what the engines have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date

import ibis.backends.sql.compilers  # noqa: F401 - what a query is written with is loaded with the first one
import pandas as pd  # noqa: F401 - pyarrow loads it with the first table

from ab_platform.storage.archive import Archive
from ab_platform.storage.store import open_store
from ab_platform.storage.warehouse import ArchiveReads, Engine
from benchmarks.analysis import ours
from benchmarks.analysis.answers import Ask
from benchmarks.analysis.world import LAST_DAY, Data


@contextmanager
def asked(data: Data, engine: Engine, archive: Archive, *, as_of: date = LAST_DAY) -> Iterator[Ask]:
    """Open the launches, and give what is timed.

    Args:
        data: what there is.
        engine: that reads the archive; it is closed at the end.
        archive: of the data.
        as_of: last day that counts.
    """
    with closing(engine), closing(open_store(data.launches, migrate=True)) as launches:
        reads = ArchiveReads(launches, archive, engine)
        yield lambda: ours.answer(launches, data, reads.cells, ahead=reads.read_ahead, as_of=as_of)
