"""The rows of one day, streamed from the database as Arrow tables in the order of the archive."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Date,
    LargeBinary,
    Select,
    String,
    Table,
    Uuid,
    and_,
    cast,
    collate,
    exists,
    extract,
    func,
    or_,
    select,
    type_coerce,
)

from ab_platform.storage import bulk, changed_days
from ab_platform.storage.archive.layout import SORTED_BY, TableName, arrow_schema
from ab_platform.storage.schema import UtcDateTime, events, experiments, exposures, metadata, user_days

ROWS_AT_ONCE = 50_000
"""Rows that are in memory at a time."""


class DayRows:
    """The rows of one UTC day, all as they were at one moment.

    Args:
        connection: from `connection.snapshot`.
        day: of the moments of events and exposures, and of user-days.

    Attributes:
        changes: transactions that had changed rows of the day.
    """

    def __init__(self, connection: Connection, day: date) -> None:
        self.changes = changed_days.changes(connection, day)
        self._connection, self._day = connection, day

    def batches(
        self, table: TableName, *, without: Collection[str] = (), rows: int = ROWS_AT_ONCE
    ) -> Iterator[pa.Table]:
        """Stream the rows of a table, in the order of `SORTED_BY`, by code points.

        Args:
            table: which rows.
            without: experiments that are left out.
            rows: in a batch, at most.
        """
        query = _rows_of(metadata.tables[table], table, self._day, bulk.engine_of(self._connection))
        if without:
            query = query.where(metadata.tables[table].c.experiment.not_in(without))
        found = self._connection.execute(query, execution_options={"yield_per": rows})
        for batch in found.partitions():
            yield _arrow(table, list(zip(*batch, strict=True)))

    def absent(self, table: TableName, keys: Collection[str]) -> frozenset[str]:
        """Return the experiments whose rows of a table are not in the database: they live in the archive only.

        These are experiments that the database does not know; those whose raw events were deleted; and, of these, all
        rows of those that it never had a row of.

        Args:
            table: which rows.
            keys: of experiments that the archive has rows of.
        """
        known = set(self._connection.execute(select(experiments.c.experiment)).scalars())
        deleted = set(self._connection.execute(_deleted(table)).scalars())
        return frozenset(key for key in keys if key not in known or key in deleted)

    def deleted_events(self) -> tuple[str, ...]:
        """List the experiments that ran on the day and whose raw events were deleted, by key."""
        begin, end = _bounds(self._day)
        ran = (experiments.c.starts_at < end, experiments.c.ends_at >= begin)
        query = select(experiments.c.experiment).where(experiments.c.events_deleted_at.is_not(None), *ran)
        return tuple(self._connection.execute(query.order_by(experiments.c.experiment)).scalars())


def days_of_events(connection: Connection, experiment: str) -> tuple[date, ...]:
    """List the days that an experiment has raw events of, in order."""
    day = func.date(events.c.at, type_=Date).label("day")
    query = select(day).where(events.c.experiment == experiment).distinct().order_by(day)
    return tuple(connection.execute(query).scalars())


def _deleted(table: TableName) -> Select[str]:
    query = select(experiments.c.experiment).where(experiments.c.events_deleted_at.is_not(None))
    if table == "events":
        return query
    rows = (exists().where(each.c.experiment == experiments.c.experiment) for each in (exposures, user_days))
    return query.where(~or_(*rows))


def _rows_of(table: Table, name: TableName, day: date, engine: bulk.EngineName) -> Select[Any]:
    begin, end = _bounds(day)
    of_day = table.c.day == day if "day" in table.c else and_(table.c.at >= begin, table.c.at < end)
    in_order = [_by_code_points(table.c[each], engine) for each in SORTED_BY[name]]
    query = select(*(_driven(each, engine) for each in table.c)).where(of_day).order_by(*in_order)
    # Along the index only the events of one user are sorted at a time; SQLite would sort all of a day in memory.
    return query.with_hint(events, "INDEXED BY ix_events_experiment_user_id", "sqlite") if table is events else query


def _bounds(day: date) -> tuple[datetime, datetime]:
    begin = datetime.combine(day, time(), UTC)
    return begin, begin + timedelta(days=1)


def _by_code_points(column: Column[Any], engine: bulk.EngineName) -> ColumnElement[Any]:
    """Order text as SQLite and Python do, whatever language the database speaks."""
    if engine == "sqlite" or not isinstance(column.type, String):
        return column
    return collate(column, "C")


def _driven(column: Column[Any], engine: bulk.EngineName) -> ColumnElement[Any]:
    """Read a column as its driver gives it fastest; `_array` knows how."""
    match column.type, engine:
        case ((UtcDateTime() | Date() | Uuid()), "sqlite"):
            return type_coerce(column, String).label(column.name)
        case UtcDateTime(), _:
            return cast(extract("epoch", column) * 1_000_000, BigInteger).label(column.name)
        case Uuid(), _:
            return func.uuid_send(column, type_=LargeBinary).label(column.name)
    return column


def _arrow(table: TableName, columns: Sequence[Sequence[object]]) -> pa.Table:
    fields = arrow_schema(table)
    return pa.table([_array(each, field.type) for each, field in zip(columns, fields, strict=True)], schema=fields)


def _array(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    """Make a column of what the driver gave: text, numbers, or bytes."""
    if kind == pa.uuid():
        stored = pa.array([_bytes(each) for each in values], pa.binary(16))
        return pa.ExtensionArray.from_storage(kind, stored)
    text = next((isinstance(each, str) for each in values if each is not None), False)
    if pa.types.is_timestamp(kind):
        return (
            pa.array(values, pa.string()).cast(pa.timestamp("us")).cast(kind)
            if text
            else pa.array(values, pa.int64()).cast(kind)
        )
    if pa.types.is_date(kind) and text:
        return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)


def _bytes(identifier: object) -> object:
    return bytes.fromhex(identifier) if isinstance(identifier, str) else identifier
