"""Ours on a database of the store: what SQLite and PostgreSQL have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from ab_platform.storage.store import open_store
from benchmarks.analysis import ours
from benchmarks.analysis.answers import Ask
from benchmarks.analysis.world import Data


@contextmanager
def asked(url: str, data: Data) -> Iterator[Ask]:
    """Open a store that holds the users, and give what is timed."""
    with closing(open_store(url, migrate=True)) as store:
        yield lambda: ours.answer(store, data, store.cells)
