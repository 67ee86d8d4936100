"""The one place that chooses an engine by its name."""

from __future__ import annotations

from pathlib import Path

from ab_platform.errors import StoreError
from ab_platform.storage.warehouse.engine import Engine

DATABASE = "database"
"""No engine: users are read from the database."""


def open_engine(named: str, *, beside: Path) -> Engine:
    """Open an engine that reads the archive.

    Args:
        named: `duckdb`, `spark-local`, `spark://HOST:PORT`, or an address for `ibis.connect`.
        beside: folder that may take what does not fit into memory.

    Raises:
        StoreError: where it is not installed or does not answer.
    """
    if named == "duckdb":
        return _duck(beside)
    if named.startswith("spark"):
        from ab_platform.storage.warehouse.spark import LOCAL, LOCAL_MASTER, Spark

        return Spark(LOCAL_MASTER if named == LOCAL else named)
    from ab_platform.storage.warehouse.any_engine import AnyEngine

    return AnyEngine(named)


def _duck(beside: Path) -> Engine:
    try:
        from ab_platform.storage.warehouse.duck import Duck
    except ImportError as error:
        raise StoreError("DuckDB is not installed; install it: pip install 'ab-platform[warehouse]'") from error
    return Duck(beside)
