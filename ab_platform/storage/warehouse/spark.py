"""Spark, on this machine or a cluster that sees the archive's folder under the same path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import pyarrow as pa

from ab_platform.errors import StoreError
from ab_platform.storage.warehouse.engine import Source

LOCAL, LOCAL_MASTER = "spark-local", "local[2]"


class Spark:
    """A Spark session.

    Args:
        master: address such as `spark://HOST:PORT`, or `local[2]`.
        partitions: that rows are divided into where they are grouped or joined.

    Raises:
        StoreError: where pyspark is not installed, or the master does not answer.
    """

    dialect = "pyspark"
    divides = True
    embedded = False
    threads = 1

    def __init__(self, master: str, *, partitions: int = 16) -> None:
        self._session = _session(master, partitions)

    def answer(self, query: str, sources: Sequence[Source]) -> pa.Table:
        """Return what a query gives over some tables."""
        try:
            for source in sources:
                self._show(source)
            return self._session.sql(query).toArrow()
        except _errors() as error:
            raise StoreError(f"Spark could not read the archive: {str(error).splitlines()[0]}") from error

    def close(self) -> None:
        """End the session."""
        self._session.stop()

    def _show(self, source: Source) -> None:
        if source.files:
            frame = self._session.read.parquet(*(f"file://{path.absolute()}" for path in source.files))
        else:
            frame = self._session.createDataFrame(source.whole)
        frame.createOrReplaceTempView(source.name)


def _session(master: str, partitions: int) -> Any:
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise StoreError("Spark needs pyspark in an environment of its own; make it: `make spark`") from error
    ibis.pyspark  # noqa: B018, Ibis writes Spark's dialect once it has loaded what it knows of Spark
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(partitions),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    builder = SparkSession.builder.master(master).appName("ab-platform")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _errors() -> tuple[type[Exception], ...]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return (PySparkException, Py4JError)
