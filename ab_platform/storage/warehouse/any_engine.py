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
    embedded = False
    threads = 1

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
                self._load(source)
            return self._rows(query)
        except Exception as error:  # every backend has its own
            raise StoreError(f"{self.dialect} could not read the archive: {str(error).splitlines()[0]}") from error

    def _load(self, source: Source) -> None:
        rows = pa.concat_tables(pq.read_table(path) for path in source.files) if source.files else source.whole
        if source.name in self._backend.list_tables():
            # Not drop_table: with a new sqlglot Ibis 12 forgets the name.
            self._backend.raw_sql(f"DROP TABLE {source.name}").close()
        self._backend.create_table(source.name, schema=ibis.Schema.from_pyarrow(source.columns))
        if rows.num_rows:
            self._backend.insert(source.name, rows)

    def _rows(self, query: str) -> pa.Table:
        answer = self._backend.raw_sql(query)
        if not hasattr(answer, "description"):  # no cursor: ClickHouse, BigQuery
            return self._backend.sql(query).to_pyarrow()
        names, rows = [column[0] for column in answer.description], answer.fetchall()
        answer.close()
        columns = zip(*rows, strict=True) if rows else ((),) * len(names)
        return pa.table([pa.array(values) for values in columns], names)

    def close(self) -> None:
        """End the connection."""
        self._backend.disconnect()
