"""Statements on what was computed: lifts and sample-ratio checks, by experiment and day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date

from sqlalchemy import Connection, Table, func, select

from ab_platform.events import SURFACES
from ab_platform.metrics import CATALOGUE
from ab_platform.results import LiftRow, SampleRatioRow
from ab_platform.storage import bulk
from ab_platform.storage.schema import arms, lifts, sample_ratios

_METRICS = tuple(metric.name for metric in CATALOGUE)
_SCOPES = ("all", *SURFACES)


def write(connection: Connection, *, lift_rows: Sequence[LiftRow], ratio_rows: Sequence[SampleRatioRow]) -> None:
    """Store results in place of those of the same experiment, day and row."""
    _put(connection, lifts, [asdict(row) for row in lift_rows])
    ratios = [asdict(row) for row in ratio_rows]
    _put(connection, sample_ratios, [{**row, **{name: list(row[name]) for name in _LISTS}} for row in ratios])


_LISTS = ("arms", "counts", "expected")


def lifts_of(connection: Connection, experiment: str, *, as_of: date | None) -> tuple[LiftRow, ...]:
    """Return the lifts as of a day, the newest by default: by surface, then as in the catalogue, then by arm."""
    newest = select(func.max(lifts.c.as_of)).where(lifts.c.experiment == experiment).scalar_subquery()
    query = select(lifts).where(lifts.c.experiment == experiment, lifts.c.as_of == (newest if as_of is None else as_of))
    rows = [LiftRow(**row._mapping) for row in connection.execute(query)]
    placed = select(arms.c.arm).where(arms.c.experiment == experiment).order_by(arms.c.place)
    order = connection.execute(placed).scalars().all()
    return tuple(sorted(rows, key=lambda row: _lift_place(row, order)))


def sample_ratios_of(connection: Connection, experiment: str, *, as_of: date) -> tuple[SampleRatioRow, ...]:
    """Return the sample-ratio checks as of a day, `all` first, then by surface."""
    query = select(sample_ratios).where(sample_ratios.c.experiment == experiment, sample_ratios.c.as_of == as_of)
    found = [row._mapping for row in connection.execute(query)]
    rows = [SampleRatioRow(**{**row, **{name: tuple(row[name]) for name in _LISTS}}) for row in found]
    return tuple(sorted(rows, key=lambda row: _place(_SCOPES, row.scope)))


def as_ofs(connection: Connection, experiment: str) -> tuple[date, ...]:
    """List the days that were analysed, the oldest first."""
    query = select(lifts.c.as_of).where(lifts.c.experiment == experiment).distinct().order_by(lifts.c.as_of)
    return tuple(connection.execute(query).scalars())


def _put(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    if not rows:
        return
    put = bulk.upsert(bulk.engine_of(connection), table)
    key = list(table.primary_key)
    values = {column.name: put.excluded[column.name] for column in table.c if column not in key}
    connection.execute(put.on_conflict_do_update(index_elements=key, set_=values), rows)


def _lift_place(row: LiftRow, arms_in_order: Sequence[str]) -> tuple[int, int, int]:
    return _place(SURFACES, row.surface), _place(_METRICS, row.metric), _place(arms_in_order, row.arm)


def _place(order: Sequence[str], word: str) -> int:
    """Return where a word stands, past the end for one that is not there."""
    return order.index(word) if word in order else len(order)
