"""Many rows at once, past SQLAlchemy: executemany for SQLite, COPY for PostgreSQL, always into a stage table first.

Both engines then move a stage on with the same statements, `INSERT .. SELECT .. ON CONFLICT`, so that there is one
text for what is new, what is a duplicate and what has to be opened again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
        identifier: of a UUID.
    """

    moment: Callable[[datetime], object]
    identifier: Callable[[UUID], object]


def engine_of(connection: Connection) -> EngineName:
    """Return which of the two engines a connection is to."""
    return "sqlite" if connection.dialect.name == "sqlite" else "postgresql"


def encoding(connection: Connection) -> Encoding:
    """Return how the driver of a connection takes values; what it stores is what SQLAlchemy would have stored."""
    if engine_of(connection) == "sqlite":
        return Encoding(_sqlite_moment, attrgetter("hex"))
    return Encoding(_unchanged, _unchanged)


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
        marks = ", ".join("?" * len(staged.c))
        cast(sqlite3.Cursor, cursor).executemany(f"INSERT INTO {staged.name} VALUES ({marks})", rows)
    else:
        with cursor.copy(f"COPY {staged.name} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    cursor.close()


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
    # SQLite deletes all rows at once as it is; PostgreSQL's DELETE would leave them behind until a vacuum.
    return create, f"{'DELETE FROM' if engine == 'sqlite' else 'TRUNCATE'} {staged.name}"


@lru_cache(maxsize=4096)  # the impressions of a slate share their time
def _sqlite_moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(" ", "microseconds")[:26]


def _unchanged(value: object) -> object:
    return value
