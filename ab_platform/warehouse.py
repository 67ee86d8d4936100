"""Who reads the users of an analysis: the database itself, or an engine over the archive."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ab_platform.storage.store import Store
from ab_platform.storage.warehouse.opening import DATABASE, open_engine
from ab_platform.storage.warehouse.reads import UserReads


def user_reads(store: Store, *, warehouse: str, archive: Path, at: datetime) -> UserReads:
    """Open what reads users; an engine first gets the days that changed in the database.

    Args:
        store: the database.
        warehouse: `database`, `duckdb`, `spark-local`, `spark://HOST:PORT`, or an address for `ibis.connect`.
        archive: folder of the published days.
        at: now.

    Raises:
        StoreError: where the engine is not installed or does not answer.
    """
    if warehouse == DATABASE:
        return store
    from ab_platform import archiving
    from ab_platform.storage.archive import Archive
    from ab_platform.storage.warehouse import ArchiveReads

    into = Archive(archive)
    engine = open_engine(warehouse, beside=archive / ".spilled")
    return ArchiveReads(store, into, engine, publish=lambda: archiving.archive(store, into, at=at))
