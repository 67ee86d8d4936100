"""The archive's files as DuckDB's tables."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ab_platform.storage.archive import ArchivedDay, TableName
from benchmarks.analysis.world import Data

TABLES: tuple[TableName, ...] = ("exposures", "user_days")


def connected(data: Data) -> duckdb.DuckDBPyConnection:
    """Open DuckDB in this process, with the threads that each side has."""
    connection = duckdb.connect()
    connection.execute(f"SET threads = {data.threads}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET temp_directory = '{data.folder / 'duckdb'}'")
    connection.execute("SET preserve_insertion_order = false")
    return connection


def show(
    connection: duckdb.DuckDBPyConnection, data: Data, days: Sequence[ArchivedDay], shard: int | None = None
) -> None:
    """Make views of the exposures and user-days of some days, of one shard or of all."""
    for table in TABLES:
        listed = ", ".join(f"'{path}'" for path in data.archive.paths(days, table, shard))
        connection.execute(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM read_parquet([{listed}])")
