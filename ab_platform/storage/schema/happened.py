"""The tables of what users saw and did."""

from __future__ import annotations

from sqlalchemy import Column, Date, Float, Index, Integer, String, Table, Uuid

from ab_platform.storage.schema.columns import UtcDateTime, metadata

exposures = Table(
    "exposures",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("surface", String, primary_key=True),
    Column("arm", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("kind", String, nullable=False),
    Column("experiment", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("arm", String, nullable=False),
    Column("surface", String, nullable=False),
    Column("title_id", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("slate_id", Uuid),
    Column("position", Integer),
    Column("served_by", String),
    Column("impression_id", Uuid),
    Column("watch_seconds", Float),
    Column("latency_ms", Float),
    Index(None, "experiment", "user_id"),
    # By the days of the ids, see `partitions`; so the events of a day can go at once.
    postgresql_partition_by="RANGE (event_id)",
)

open_user_days = Table(
    "open_user_days",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("day", Date, primary_key=True),
    comment="Days of a user with events that are not rolled up yet; a late event opens its day again.",
    sqlite_with_rowid=False,
)

mixed_users = Table(
    "mixed_users",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column(
        "at", UtcDateTime, nullable=False, comment="first impression of a second arm; from that day on the user is out"
    ),
    sqlite_with_rowid=False,
)
