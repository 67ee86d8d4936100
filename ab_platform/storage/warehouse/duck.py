"""DuckDB in this process, over Parquet files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from ab_platform.errors import StoreError
from ab_platform.storage.warehouse.engine import Source

MEMORY = "3GB"
"""That DuckDB holds at once; what a query needs beyond it goes to a folder of the archive."""


_TEXT_OR_ZONED = re.compile(r"(?P<text>'(?:[^']|'')*')|\bTIMESTAMPTZ\b")


class Duck:
    """DuckDB.

    Args:
        beside: folder that may take what does not fit into memory.
        memory: that it holds at once, such as `3GB`.
        threads: that it reads with; by default one a core.
    """

    dialect = "duckdb"
    divides = False
    embedded = True

    def __init__(self, beside: Path, *, memory: str = MEMORY, threads: int | None = None) -> None:
        self.threads = threads or os.cpu_count() or 1
        self._connection = duckdb.connect()
        # Nothing may be fetched, and rows may come in any order: what is read is added up or sorted.
        for setting, value in {
            "memory_limit": memory,
            "threads": self.threads,
            "temp_directory": str(beside),
            "TimeZone": "UTC",
            "autoinstall_known_extensions": False,
            "preserve_insertion_order": False,
            "parquet_metadata_cache": True,
        }.items():
            self._connection.execute(f"SET {setting} = {_literal(value)}")

    def answer(self, query: str, sources: Sequence[Source]) -> pa.Table:
        """Return what a query gives over some tables."""
        try:
            for source in sources:
                self._show(source)
            return self._connection.sql(without_zones(query)).to_arrow_table()
        except duckdb.Error as error:
            raise StoreError(f"DuckDB could not read the archive: {str(error).splitlines()[0]}") from error

    def close(self) -> None:
        """Let go of memory and of files."""
        self._connection.close()

    def _show(self, source: Source) -> None:
        if source.files:
            listed = ", ".join(_literal(str(path)) for path in source.files)
            rows = f"read_parquet([{listed}])"
        else:
            rows = f"rows_of_{source.name}"
            self._connection.register(rows, source.whole)
        self._connection.execute(
            f"CREATE OR REPLACE TEMPORARY VIEW {source.name} AS SELECT * {_moments(source.columns)} FROM {rows}"
        )


def without_zones(query: str) -> str:
    """Read every time as one in UTC without a zone, as the views give it; see `_moments`."""
    return _TEXT_OR_ZONED.sub(lambda found: found["text"] or "TIMESTAMP", query)


def _moments(columns: pa.Schema) -> str:
    """Give moments as times in UTC: with a zone each would go through a calendar, ten times as slow as the rest."""
    named = [f'"{each.name}"' for each in columns if pa.types.is_timestamp(each.type)]
    return f"REPLACE ({', '.join(f'make_timestamp(epoch_us({name})) AS {name}' for name in named)})" if named else ""


def _literal(value: object) -> str:
    if isinstance(value, str):
        return "'{}'".format(value.replace("'", "''"))
    return str(value)
