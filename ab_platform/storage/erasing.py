"""Statements that forget a user: every row in every table that holds user ids, and since when they are forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, and_, delete, func, select

from ab_platform.pseudonym import digest
from ab_platform.storage import bulk, changed_days
from ab_platform.storage.connection import one_at_a_time
from ab_platform.storage.events import RECORD
from ab_platform.storage.schema import erasures, experiments, metadata
from ab_platform.storage.user_days import ROLL_UP

TABLES = tuple(table for table in metadata.sorted_tables if "user_id" in table.c)
"""The tables that hold user ids, found by that, so that one to come is not forgotten."""


def erase(connection: Connection, user_id: str, *, at: datetime) -> Mapping[str, int]:
    """Delete every row of a user, and note when, for events from before that are still on their way.

    No events are being recorded and no user-days counted while this transaction runs, so none is half-way in.

    Args:
        connection: in a transaction that writes.
        user_id: the user, as the platform knows them.
        at: now; a later moment that was noted before stands.

    Returns:
        How many rows were deleted, by table.
    """
    # In the order of all who take both.
    one_at_a_time(connection, ROLL_UP)
    one_at_a_time(connection, RECORD)
    put = bulk.upsert(bulk.engine_of(connection), erasures).values(user_digest=digest(user_id), erased_at=at)
    noted = put.on_conflict_do_update(
        index_elements=list(erasures.primary_key),
        set_={"erased_at": put.excluded.erased_at},
        where=put.excluded.erased_at > erasures.c.erased_at,
    )
    connection.execute(noted)
    days = changed_days.of_user(connection, user_id, connection.execute(select(experiments.c.experiment)).scalars())
    deleted = {table.name: bulk.changed(connection, delete(table).where(_of(table, user_id))) for table in TABLES}
    changed_days.mark(connection, days)
    return deleted


def every(connection: Connection) -> Mapping[str, datetime]:
    """Return since when each erased user is forgotten, by the sha256 of the user id."""
    return {row.user_digest: row.erased_at for row in connection.execute(select(erasures))}


def _of(table: Table, user_id: str) -> ColumnElement[bool]:
    """Say which rows of a table are a user's, so that an index finds them."""
    theirs: ColumnElement[bool] = table.c.user_id == user_id
    before = _before_user(table)
    return theirs if before is None else and_(before.in_(_distinct(before)), theirs)


def _before_user(table: Table) -> Column[Any] | None:
    """Return the one column that stands before the user in an index, such as the experiment; None where none does."""
    indexes = [tuple(table.primary_key), *(tuple(index.columns) for index in table.indexes)]
    return next((first for first, *rest in indexes if rest[:1] == [table.c.user_id]), None)


def _distinct(column: Column[Any]) -> Select[Any]:
    """Select the distinct values of a column that an index begins with, by a jump to each, not by all its rows."""
    # Nested: of a statement that begins with WITH, SQLite's driver does not count the rows.
    value = select(func.min(column).label("value")).cte("distinct_values", recursive=True, nesting=True)
    following = select(func.min(column)).where(column > value.c.value).scalar_subquery()
    values = value.union_all(select(following).where(value.c.value.is_not(None)))
    return select(values.c.value).where(values.c.value.is_not(None))
