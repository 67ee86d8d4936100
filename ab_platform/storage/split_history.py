"""The checks of the split as of every day on which they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from ab_platform.results import SampleRatioRow
from ab_platform.storage.schema import sample_ratios


def of(connection: Connection, experiment: str, scope: str) -> tuple[SampleRatioRow, ...]:
    """Return the checks of the split of one scope in all analyses of an experiment, the oldest first."""
    return tuple(SampleRatioRow(**row) for row in _rows(connection, experiment, scope))


def _rows(connection: Connection, experiment: str, scope: str) -> Iterator[Mapping[str, Any]]:
    """Read the rows; lists come back as tuples, as the rows hold them."""
    query = select(sample_ratios).where(sample_ratios.c.experiment == experiment, sample_ratios.c.scope == scope)
    for row in connection.execute(query.order_by(sample_ratios.c.as_of)).mappings():
        yield {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
