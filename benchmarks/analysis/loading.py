"""The archive's rows into a database, in the order of its keys."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.csv

from ab_platform.storage import bulk, schema
from ab_platform.storage.connection import writing
from ab_platform.storage.store import Store, open_store
from benchmarks.analysis import files
from benchmarks.analysis.world import Data, launch

ROWS_AT_ONCE = 100_000


def load(url: str, data: Data) -> None:
    """Make a database of the experiments and everything that the archive holds of them."""
    with closing(open_store(url, migrate=True)) as store, closing(files.connected(data)) as archive:
        launch(store, data)
        files.show(archive, data, data.days)
        for table in files.TABLES:
            _copy(store, archive, table)
        if store.engine.dialect.name == "postgresql":
            # As it does by itself on a store that grows.
            with writing(store.engine) as connection:
                connection.exec_driver_sql("ANALYZE")


def _copy(store: Store, archive: duckdb.DuckDBPyConnection, table: str) -> None:
    with writing(store.engine) as connection:
        cursor: Any = connection.connection.cursor()
        if bulk.engine_of(connection) == "sqlite":
            _insert(cast(sqlite3.Cursor, cursor), archive, table)
        else:
            with cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
                for lines in _lines(archive, table):
                    copy.write(lines)
        cursor.close()


def _insert(cursor: sqlite3.Cursor, archive: duckdb.DuckDBPyConnection, table: str) -> None:
    """Insert rows as the store would write them: days and moments are text."""
    columns = schema.metadata.tables[table].c
    values = (_as_text(each.name, each.type) for each in columns)
    rows = archive.execute(f"SELECT {', '.join(values)} {_in_order(table)}")
    statement = f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})"
    while some := rows.fetchmany(ROWS_AT_ONCE):
        cursor.executemany(statement, some)


def _as_text(name: str, type_: object) -> str:
    if isinstance(type_, schema.UtcDateTime):
        return f"strftime(\"{name}\" AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f')"
    return f"{name}::VARCHAR" if name == "day" else f'"{name}"'


def _lines(archive: duckdb.DuckDBPyConnection, table: str) -> Iterator[bytes]:
    plain = pyarrow.csv.WriteOptions(include_header=False)
    names = ", ".join(f'"{column.name}"' for column in schema.metadata.tables[table].c)
    for batch in archive.sql(f"SELECT {names} {_in_order(table)}").to_arrow_reader(ROWS_AT_ONCE):
        written = io.BytesIO()
        pyarrow.csv.write_csv(pa.Table.from_batches([batch]), written, plain)
        yield written.getvalue()


def _in_order(table: str) -> str:
    keys = ", ".join(column.name for column in schema.metadata.tables[table].primary_key)
    return f"FROM {table} ORDER BY {keys}"
