"""The schema's tables as Ibis sees them, and numbers as whole steps, which every engine adds up alike."""

from __future__ import annotations

from datetime import UTC, date, datetime

import ibis
import ibis.expr.types as ir
from sqlalchemy import Boolean, Connection, Date, Float, Integer, String, Table, TextClause, Uuid, text
from sqlalchemy.types import TypeEngine

from ab_platform.storage import schema


def table(described: Table) -> ir.Table:
    """Return an Ibis table with the name and columns of a SQLAlchemy table."""
    return ibis.table({column.name: _type(column.type) for column in described.c}, name=described.name)


def in_steps(value: ir.Value, steps: int) -> ir.Value:
    """Return a number as whole steps, such as milliseconds of seconds at 1,000 steps."""
    # Events are stored in thousandths, so an engine's way of rounding a half does not matter here.
    return (value * steps).round().cast("int64")


def dialect_of(connection: Connection) -> str:
    """Return what Ibis calls the engine of a connection."""
    return "postgres" if connection.dialect.name == "postgresql" else connection.dialect.name


def whole_query(sql: str) -> TextClause:
    """Take a query that is whole as it is: a colon in it marks no parameter."""
    return text(sql.replace(":", r"\:"))


def day_of(value: date | str) -> date:
    """Return a day as SQLite writes it, or as another engine gives it."""
    return date.fromisoformat(value) if isinstance(value, str) else value


def moment_of(value: datetime | str) -> datetime:
    """Return a moment as SQLite writes it, or as another engine gives it; without a zone it is in UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _type(column: TypeEngine[object]) -> str:
    """Return the name that Ibis has for a column's type."""
    match column:
        case schema.UtcDateTime():
            return "timestamp('UTC')"
        case Date():
            return "date"
        case Integer():
            return "int64"
        case Boolean():
            return "boolean"
        case Float():
            return "float64"
        case Uuid():
            return "uuid"
        case String():
            return "string"
    return "json"
