"""The tables of what was ingested: data sets, their titles and interactions, and what is known of users."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Integer, String, Table

from ab_platform.storage.schema.columns import Document, UtcDateTime, metadata

datasets = Table(
    "datasets",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("content_hash", String, nullable=False),
    Column("source", String, nullable=False),
    Column("interactions", Integer, nullable=False),
    Column("users", Integer, nullable=False),
    Column("titles", Integer, nullable=False),
    Column("bad_rows", Integer, nullable=False),
    Column("repeated_rows", Integer, nullable=False),
    Column("ingested_at", UtcDateTime, nullable=False),
)

titles = Table(
    "titles",
    metadata,
    Column("dataset", String, ForeignKey("datasets.dataset"), primary_key=True),
    Column("title_id", String, primary_key=True),
    Column("title", String, nullable=False),
    Column("genres", Document, nullable=False),
    Column("year", Integer),
)

# Rows that come by the million refer to nothing: PostgreSQL would look each reference up, a third of an ingest's time.

interactions = Table(
    "interactions",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("title_id", String, primary_key=True),
    Column("rating", Float),
    Column("at", UtcDateTime),
    sqlite_with_rowid=False,
)

user_attributes = Table(
    "user_attributes",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("value", String, nullable=False),
    sqlite_with_rowid=False,
    comment="What is known of a user apart from events, such as device or country; it must not depend on the arm.",
)
