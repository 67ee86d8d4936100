"""The tables of who may ask, and who asked to be forgotten."""

from __future__ import annotations

from sqlalchemy import Column, Float, String, Table

from ab_platform.storage.schema.columns import Document, UtcDateTime, metadata

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", String, primary_key=True),
    Column("client", String, nullable=False),
    Column("secret_hash", String, nullable=False, comment="sha256 of the secret, which is shown once and kept nowhere"),
    Column("scopes", Document, nullable=False),
    Column("experiments", Document, comment="keys it is for; none for every experiment"),
    Column("requests_per_second", Float),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

erasures = Table(
    "erasures",
    metadata,
    Column("user_digest", String, primary_key=True, comment="sha256 of the user id, which is kept nowhere"),
    Column("erased_at", UtcDateTime, nullable=False, comment="what happened before is not taken again"),
)
