"""What the files of the archive hold, and which shard a user is in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Date, Float, Integer, String, Uuid
from sqlalchemy.types import TypeEngine

from ab_platform.assignment import BUCKETS, buckets
from ab_platform.storage import schema

TableName = Literal["events", "exposures", "user_days"]

TABLES: tuple[TableName, ...] = get_args(TableName)

SORTED_BY = {
    "events": ("experiment", "user_id", "event_id"),
    "exposures": ("experiment", "user_id", "surface"),
    "user_days": ("experiment", "user_id", "surface"),
}
"""Order of the rows in a file, so that an experiment's lie together and can be read without the others."""

SALT = "archive"
"""Of the hash that divides users into shards; no layer or experiment has it, or a shard would hold one arm only."""


@cache
def arrow_schema(table: TableName) -> pa.Schema:
    """Return the columns of a table's files: those of the database's table, in their order."""
    return pa.schema([pa.field(column.name, _type(column.type)) for column in schema.metadata.tables[table].c])


@cache
def repeating(table: TableName) -> list[str]:
    """Return the columns whose values repeat, so that a dictionary is small; of others it would be work for nothing."""
    columns = schema.metadata.tables[table].c
    return [each.name for each in columns if each.name != "user_id" and isinstance(each.type, (String, Integer))]


def shards_of(users: Sequence[str] | NDArray[np.str_], shards: int) -> NDArray[np.int64]:
    """Return the shard of each user, from 0, (users,)."""
    shard: NDArray[np.int64] = np.asarray(buckets(SALT, users), dtype=np.int64) * shards // BUCKETS
    return shard


def _type(column: TypeEngine[object]) -> pa.DataType:
    match column:
        case schema.UtcDateTime():
            return pa.timestamp("us", tz="UTC")
        case Date():
            return pa.date32()
        case Integer():
            return pa.int64()
        case Float():
            return pa.float64()
        case Uuid():
            return pa.uuid()
    return pa.string()
