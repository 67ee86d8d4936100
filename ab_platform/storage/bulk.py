"""Many rows at once, past SQLAlchemy, whose work on each row would take longer than the database's.

On PostgreSQL they go by COPY into a stage table first. Both engines move a stage on with the same statements,
`INSERT .. SELECT .. ON CONFLICT`, so that there is one text for what is new and what is a duplicate.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, Literal, cast
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Connection, Executable, MetaData, Select, Table, func, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from ab_platform.storage.schema import UtcDateTime

EngineName = Literal["sqlite", "postgresql"]
Upsert = postgresql.Insert | sqlite.Insert


@dataclass(frozen=True)
class Encoding:
    """How a driver takes values that SQLAlchemy would have converted.

    Attributes:
        moment: of a time with a zone.
        day: of a date.
        identifier: of a UUID.
    """

    moment: Callable[[datetime], object]
    day: Callable[[date], object]
    identifier: Callable[[UUID], object]


def engine_of(connection: Connection) -> EngineName:
    """Return which of the two engines a connection is to."""
    return "sqlite" if connection.dialect.name == "sqlite" else "postgresql"


def encoding(connection: Connection) -> Encoding:
    """Return how the driver of a connection takes values; what it stores is what SQLAlchemy would have stored."""
    if engine_of(connection) == "sqlite":
        return Encoding(_sqlite_moment, date.isoformat, attrgetter("hex"))
    return Encoding(_unchanged, _unchanged, _unchanged)


def stage(name: str, *columns: Column[Any]) -> Table:
    """Describe a temporary table that each connection has its own of; a transaction finds it as `fill` leaves it."""
    return Table(name, MetaData(), *columns, prefixes=["TEMPORARY"], postgresql_on_commit="DELETE ROWS")


def stage_of(table: Table) -> Table:
    """Describe a stage with the columns of a table, without its constraints."""
    return stage(f"staged_{table.name}", *(Column(each.name, each.type) for each in table.c))


def empty(connection: Connection, staged: Table) -> None:
    """Make the stage on this connection where it is missing, and empty it."""
    for statement in _emptying(staged, engine_of(connection)):
        connection.exec_driver_sql(statement)


def fill(connection: Connection, staged: Table, *, rows: Iterable[Sequence[object]]) -> None:
    """Empty a stage and fill it.

    Args:
        connection: in the transaction that will read the stage.
        staged: the stage.
        rows: values in the order of the stage's columns, as the driver takes them; see `encoding`.
    """
    empty(connection, staged)
    cursor = connection.connection.cursor()
    if engine_of(connection) == "sqlite":
        cast(sqlite3.Cursor, cursor).executemany(f"INSERT INTO {staged.name} VALUES ({_marks(staged)})", rows)
    else:
        with cursor.copy(f"COPY {staged.name} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    cursor.close()


def insert_new(connection: Connection, table: Table, *, staged: Table, rows: Sequence[Sequence[object]]) -> set[object]:
    """Insert the rows whose key is not there yet, in their order.

    Of two transactions with the same key, the second waits for the first, and one of them inserts it.

    Args:
        connection: in a transaction that writes.
        table: takes them; its first column is its key.
        staged: the table's stage.
        rows: values in the order of the table's columns, as the driver takes them; no key twice.

    Returns:
        The keys that are new, as the driver takes them.
    """
    key = table.c[0].name
    if engine_of(connection) == "postgresql":
        fill(connection, staged, rows=rows)
        statement = f"INSERT INTO {table.name} SELECT * FROM {staged.name} ON CONFLICT DO NOTHING RETURNING {key}"
        done = connection.exec_driver_sql(statement)
        if done.cursor.rowcount == len(rows):  # to fetch what is known would take as long as the rest
            done.close()
            return {row[0] for row in rows}
        return set(done.scalars())
    # The file has no other writer now, so what is not there when it is looked up is new.
    keys = json.dumps([row[0] for row in rows])
    cursor = cast(sqlite3.Cursor, connection.connection.cursor())
    there = f"SELECT {key} FROM {table.name} WHERE {key} IN (SELECT value FROM json_each(?))"
    known = {each for (each,) in cursor.execute(there, (keys,))}
    new = [row for row in rows if row[0] not in known]
    cursor.executemany(f"INSERT INTO {table.name} VALUES ({_marks(table)})", new)
    cursor.close()
    return {row[0] for row in new}


def put(
    connection: Connection, table: Table, *, rows: Sequence[Sequence[object]], conflict: str, returning: str = ""
) -> list[tuple[Any, ...]]:
    """Insert some hundred rows in their order.

    Args:
        connection: in a transaction that writes.
        table: takes them.
        rows: values in the order of the table's columns, as the driver takes them; see `encoding`.
        conflict: what to do with a row whose key is there, as SQL after `ON CONFLICT`.
        returning: columns, with commas, to return of each row that is inserted or changed.

    Returns:
        What was asked for, as the driver gives it.
    """
    if not rows:
        return []
    engine = engine_of(connection)
    statement = _putting(table, engine, conflict) + (f" RETURNING {returning}" if returning else "")
    if engine == "postgresql":
        done = connection.exec_driver_sql(statement, tuple(map(list, zip(*rows, strict=True))))
        return [tuple(row) for row in done] if returning else []
    cursor = cast(sqlite3.Cursor, connection.connection.cursor())
    if returning:
        found = [returned for row in rows for returned in cursor.execute(statement, row)]
    else:
        found = list(cursor.executemany(statement, rows))
    cursor.close()
    return found


def changed(connection: Connection, statement: Executable) -> int:
    """Run a statement and return how many rows it wrote or deleted."""
    # SQLAlchemy asks the driver for an INSERT's count only when told to.
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


def upsert(engine: EngineName, table: Table) -> Upsert:
    """Begin an INSERT that may say what to do ON CONFLICT."""
    return sqlite.insert(table) if engine == "sqlite" else postgresql.insert(table)


def upsert_from(engine: EngineName, table: Table, *, query: Select[Any]) -> Upsert:
    """Begin an INSERT of what a query gives, its columns named as the table's."""
    # SQLite takes the ON of ON CONFLICT for a join's where the query has no WHERE.
    return upsert(engine, table).from_select(list(query.selected_columns.keys()), query.where(true()))


def moment_of(engine: EngineName, seconds: ColumnElement[int]) -> ColumnElement[datetime]:
    """Turn unix seconds into a moment, inside the database."""
    if engine == "sqlite":
        return func.datetime(seconds, "unixepoch", type_=UtcDateTime())
    return func.to_timestamp(seconds, type_=UtcDateTime())


@cache
def _emptying(staged: Table, engine: EngineName) -> tuple[str, str]:
    """Write the statements once: a batch of fifty events would spend more time on them than on its rows."""
    dialect = sqlite.dialect() if engine == "sqlite" else postgresql.dialect()  # type: ignore[no-untyped-call]
    create = str(CreateTable(staged, if_not_exists=True).compile(dialect=dialect))
    # Not TRUNCATE: PostgreSQL empties a stage at the end of each transaction, in place, and a second file for one that
    # is empty already would be waste.
    return create, f"DELETE FROM {staged.name}"


@cache
def _putting(table: Table, engine: EngineName, conflict: str) -> str:
    """Write an INSERT: of one row for SQLite, which is in this process; of all in one go for PostgreSQL, by column."""
    names = ", ".join(column.name for column in table.c)
    source = f"VALUES ({_marks(table)})" if engine == "sqlite" else f"SELECT * FROM unnest({_arrays(table)})"
    return f"INSERT INTO {table.name} ({names}) {source} ON CONFLICT {conflict}"


def _marks(table: Table) -> str:
    return ", ".join("?" * len(table.c))


def _arrays(table: Table) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return ", ".join(f"%s::{column.type.compile(dialect)}[]" for column in table.c)


@lru_cache(maxsize=4096)  # the impressions of a slate share their time
def _sqlite_moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(" ", "microseconds")[:26]


def _unchanged(value: object) -> object:
    return value
