"""Statements on alerts: raised once, sent once, cleared when they hold no more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, select, update

from ab_platform.alerts import Alert, AlertKey
from ab_platform.storage import bulk
from ab_platform.storage.schema import alerts


def raise_alerts(connection: Connection, rows: Iterable[Alert]) -> tuple[Alert, ...]:
    """Store the alerts that do not stand yet; return them, as they were given.

    One that stands stays as it is; one that was cleared begins anew, not sent.

    Args:
        connection: in a transaction that writes.
        rows: neither sent nor cleared.
    """
    put = bulk.upsert(bulk.engine_of(connection), alerts)
    anew = put.on_conflict_do_update(
        index_elements=list(alerts.primary_key),
        set_={column.name: put.excluded[column.name] for column in alerts.c if not column.primary_key},
        where=alerts.c.cleared_at.is_not(None),
    )
    return tuple(row for row in _in_order(rows) if bulk.changed(connection, anew.values(asdict(row))))


def clear(connection: Connection, experiment: str, *, keep: Collection[AlertKey], at: datetime) -> tuple[Alert, ...]:
    """Clear the alerts of an experiment that stand, but for some; return them.

    Args:
        connection: in a transaction that writes.
        experiment: its key.
        keep: which go on standing.
        at: now.
    """
    standing = _read(connection, alerts.c.experiment == experiment, _standing())
    over = [row for row in standing if row.key not in keep]
    for row in over:
        connection.execute(update(alerts).where(_is(row), _standing()).values(cleared_at=at))
    return tuple(replace(row, cleared_at=at) for row in over)


def unsent(connection: Connection) -> tuple[Alert, ...]:
    """List the alerts that stand and were not sent, the oldest first."""
    return _read(connection, _standing(), alerts.c.sent_at.is_(None))


def mark_sent(connection: Connection, rows: Iterable[Alert], *, at: datetime) -> int:
    """Note when alerts were sent; one that was cleared and raised anew since it was read stays unsent.

    Returns:
        How many were not noted before.
    """
    unsent = update(alerts).where(alerts.c.sent_at.is_(None)).values(sent_at=at)
    return sum(
        bulk.changed(connection, unsent.where(_is(row), alerts.c.raised_at == row.raised_at)) for row in _in_order(rows)
    )


def every(connection: Connection, experiment: str | None) -> tuple[Alert, ...]:
    """List the alerts of an experiment, or of all, also those that were cleared; the oldest first."""
    return _read(connection, *([] if experiment is None else [alerts.c.experiment == experiment]))


def _in_order(rows: Iterable[Alert]) -> list[Alert]:
    """Sort alerts by their keys, so that two transactions wait for each other and never in a circle."""
    return sorted(rows, key=lambda row: (row.experiment, *row.key))


def _standing() -> ColumnElement[bool]:
    return alerts.c.cleared_at.is_(None)


def _is(row: Alert) -> ColumnElement[bool]:
    return and_(alerts.c.experiment == row.experiment, alerts.c.kind == row.kind, alerts.c.subject == row.subject)


def _read(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[Alert, ...]:
    query = select(alerts).where(*conditions).order_by(alerts.c.raised_at, *alerts.primary_key)
    return tuple(Alert(**row) for row in connection.execute(query).mappings())
