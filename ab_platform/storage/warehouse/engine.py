"""What an engine is given, and what it must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Source:
    """A table as an engine is to see it.

    Attributes:
        name: of the table in the schema.
        columns: their names and types.
        files: Parquet files of its rows; none for a table of `rows`, or without any.
        rows: of a small table.
    """

    name: str
    columns: pa.Schema
    files: tuple[Path, ...] = ()
    rows: pa.Table | None = None

    @property
    def whole(self) -> pa.Table:
        """Return the rows of a table that lies in no file."""
        return self.columns.empty_table() if self.rows is None else self.rows


class Engine(Protocol):
    """Reads tables with SQL of its own dialect.

    Attributes:
        dialect: as Ibis names it.
        divides: whether it divides all users among machines by itself, rather than be given a shard at a time.
        embedded: whether it works in this process alone, so that users may as well be added up beside it.
        threads: of this process that do so.
    """

    dialect: str
    divides: bool
    embedded: bool
    threads: int

    def answer(self, query: str, sources: Sequence[Source]) -> pa.Table:
        """Return what a query gives over some tables.

        Raises:
            StoreError: where the engine fails, with what it says.
        """

    def close(self) -> None:
        """Let go of what the engine holds."""
