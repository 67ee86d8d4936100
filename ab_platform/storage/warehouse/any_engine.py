"""Any other engine that Ibis connects to: the shards' rows are loaded into tables of it, then read with its SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from ab_platform.errors import StoreError
from ab_platform.storage.warehouse.engine import Source


class AnyEngine:
    """An engine by the address that `ibis.connect` takes.

    Tables of the archive's names are made in it and replaced at each query: give it a database of its own.

    Args:
        url: such as `clickhouse://HOST/abp_warehouse`.

    Raises:
        StoreError: where Ibis cannot connect.
    """

    divides = False

    def __init__(self, url: str) -> None:
        try:
            self._backend: Any = ibis.connect(url)
        except Exception as error:  # every backend has its own
            raise StoreError(
                f"ABP_WAREHOUSE cannot be opened ({str(error).splitlines()[0]}); it must be `database`, `duckdb`, "
                "`spark-local`, `spark://HOST:PORT` or an address for ibis.connect, whose backend is installed"
            ) from error
        self.dialect: str = self._backend.name

    def answer(self, query: str, sources: Sequence[Source]) -> pa.Table:
        """Return what a query gives over some tables."""
        try:
            for source in sources:
                rows = pa.concat_tables(pq.read_table(path) for path in source.files) if source.files else source.whole
                self._backend.create_table(source.name, rows, overwrite=True)
            return self._backend.sql(query).to_pyarrow()
        except Exception as error:  # every backend has its own
            raise StoreError(f"{self.dialect} could not read the archive: {str(error).splitlines()[0]}") from error

    def close(self) -> None:
        """End the connection."""
        self._backend.disconnect()
