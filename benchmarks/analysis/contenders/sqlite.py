"""Ours on SQLite."""

from __future__ import annotations

from contextlib import AbstractContextManager

from benchmarks.analysis import loading
from benchmarks.analysis.answers import Ask, Contender
from benchmarks.analysis.contenders.database import asked
from benchmarks.analysis.world import Data


class OnSQLite(Contender):
    """Ours on SQLite."""

    name = "ours, SQLite"
    ours = True
    told = "The same expressions on the store's tables in SQLite, which works in one thread."

    def prepare(self, data: Data) -> None:
        """Load the archive's rows into a file."""
        path = data.folder / "sqlite.db"
        if not path.exists():
            beside = data.folder / "sqlite-loading.db"
            beside.unlink(missing_ok=True)
            loading.load(f"sqlite:///{beside}", data)
            beside.rename(path)

    def opened(self, data: Data) -> AbstractContextManager[Ask]:
        """Open the file."""
        return asked(f"sqlite:///{data.folder / 'sqlite.db'}", data)


CONTENDER = OnSQLite()
