"""Statements on what was computed, by experiment and day: lifts, checks of the split, segments, decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select

from ab_platform.results import DecisionRow, LiftRow, Look, SampleRatioRow, SegmentRow, SegmentTestRow
from ab_platform.storage.connection import one_at_a_time
from ab_platform.storage.schema import decisions, lifts, looks, sample_ratios, segment_lifts, segment_tests


@dataclass(frozen=True)
class Stored:
    """What is stored of one analysis.

    Attributes:
        look: what holds for all rows; None for an analysis by a version that did not keep it.
        lifts: rows of the table.
        sample_ratios: checks of the split.
        decisions: one a treatment.
        segments: rows by segment.
        segment_tests: whether the lift differs between segments.
    """

    look: Look | None
    lifts: tuple[LiftRow, ...]
    sample_ratios: tuple[SampleRatioRow, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    segments: tuple[SegmentRow, ...] = ()
    segment_tests: tuple[SegmentTestRow, ...] = ()


def write(connection: Connection, readout: Stored) -> None:
    """Store an analysis in place of the one of the same experiment and day."""
    assert readout.look is not None
    key = (readout.look.experiment, readout.look.as_of)
    # Two at once would each delete what they see, and both insert.
    one_at_a_time(connection, f"write results of {readout.look.experiment}")
    for table, rows in _tables(readout):
        connection.execute(delete(table).where(table.c.experiment == key[0], table.c.as_of == key[1]))
        values = [_values(row) for row in rows]
        if values:
            connection.execute(insert(table), values)


def read(connection: Connection, experiment: str, *, as_of: date | None) -> Stored | None:
    """Return the analysis as of a day, the newest by default, rows sorted by their keys; None where there is none."""
    newest = select(func.max(lifts.c.as_of)).where(lifts.c.experiment == experiment)
    day = connection.execute(newest).scalar_one() if as_of is None else as_of
    found = [LiftRow(**row) for row in _rows(connection, lifts, experiment, day)]
    if not found:
        return None
    look = next((Look(**row) for row in _rows(connection, looks, experiment, day)), None)
    return Stored(
        look,
        tuple(found),
        tuple(SampleRatioRow(**row) for row in _rows(connection, sample_ratios, experiment, day)),
        tuple(DecisionRow(**row) for row in _rows(connection, decisions, experiment, day)),
        tuple(SegmentRow(**row) for row in _rows(connection, segment_lifts, experiment, day)),
        tuple(SegmentTestRow(**row) for row in _rows(connection, segment_tests, experiment, day)),
    )


def as_ofs(connection: Connection, experiment: str) -> tuple[date, ...]:
    """List the days that were analysed, the oldest first."""
    query = select(lifts.c.as_of).where(lifts.c.experiment == experiment).distinct().order_by(lifts.c.as_of)
    return tuple(connection.execute(query).scalars())


def _tables(readout: Stored) -> tuple[tuple[Table, Sequence[Any]], ...]:
    return (
        (looks, [readout.look]),
        (lifts, readout.lifts),
        (sample_ratios, readout.sample_ratios),
        (decisions, readout.decisions),
        (segment_lifts, readout.segments),
        (segment_tests, readout.segment_tests),
    )


def _values(row: Any) -> dict[str, object]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(row).items()}


def _rows(connection: Connection, table: Table, experiment: str, day: date) -> Iterable[Mapping[str, Any]]:
    """Read a table's rows of one analysis; lists come back as tuples, as the rows hold them."""
    query = select(table).where(table.c.experiment == experiment, table.c.as_of == day)
    for row in connection.execute(query.order_by(*table.primary_key)).mappings():
        yield {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
