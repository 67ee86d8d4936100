"""Statements on documents: what commands found, by kind and name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from ab_platform.documents import Document, Kind
from ab_platform.storage import bulk
from ab_platform.storage.schema import documents


def write(connection: Connection, document: Document) -> bool:
    """Store a document in place of the one of its kind and name; the very same content again changes nothing.

    Returns:
        Whether something changed.
    """
    put = bulk.upsert(bulk.engine_of(connection), documents)
    replacing = put.on_conflict_do_update(
        index_elements=list(documents.primary_key),
        set_={"written_at": put.excluded.written_at, "content": put.excluded.content},
        where=documents.c.content != put.excluded.content,
    )
    values = {
        "kind": document.kind,
        "name": document.name,
        "written_at": document.written_at,
        "content": dict(document.content),
    }
    return bool(bulk.changed(connection, replacing.values(values)))


def find(connection: Connection, kind: Kind, name: str) -> Document | None:
    """Return a document by its kind and name."""
    query = select(documents).where(documents.c.kind == kind, documents.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else Document(row.kind, row.name, row.written_at, row.content)


def written(connection: Connection, kind: Kind) -> dict[str, datetime]:
    """Return when each document of a kind was written, by its name, the newest first."""
    query = (
        select(documents.c.name, documents.c.written_at)
        .where(documents.c.kind == kind)
        .order_by(documents.c.written_at.desc(), documents.c.name)
    )
    return {row.name: row.written_at for row in connection.execute(query)}
