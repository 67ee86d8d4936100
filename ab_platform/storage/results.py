"""Statements on what was computed, by experiment and day: lifts, their views, checks, segments, decisions, truths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Result, Table, delete, func, insert, select

from ab_platform.results import (
    Check,
    DecisionRow,
    LiftRow,
    LiftView,
    Look,
    SampleRatioRow,
    SegmentRow,
    SegmentTestRow,
    Truth,
    TruthSource,
)
from ab_platform.storage.connection import one_at_a_time
from ab_platform.storage.schema import (
    checks,
    decisions,
    lift_views,
    lifts,
    looks,
    sample_ratios,
    segment_lifts,
    segment_tests,
    truths,
)


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
        views: the rows made other ways; empty for an analysis by a version that did not keep them, nor truths.
        checks: of the data.
        truths: empty unless the visits were replayed or simulated.
        truth_from: how the true lifts are known; None where they are not.
    """

    look: Look | None
    lifts: tuple[LiftRow, ...]
    sample_ratios: tuple[SampleRatioRow, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    segments: tuple[SegmentRow, ...] = ()
    segment_tests: tuple[SegmentTestRow, ...] = ()
    views: tuple[LiftView, ...] = ()
    checks: tuple[Check, ...] = ()
    truths: tuple[Truth, ...] = ()
    truth_from: TruthSource | None = None


def write(connection: Connection, readout: Stored) -> None:
    """Store an analysis in place of the one of the same experiment and day."""
    assert readout.look is not None
    key = (readout.look.experiment, readout.look.as_of)
    # Two at once would each delete what they see, and both insert.
    one_at_a_time(connection, f"write results of {readout.look.experiment}")
    for table, values in _tables(readout):
        connection.execute(delete(table).where(table.c.experiment == key[0], table.c.as_of == key[1]))
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
    known = list(_rows(connection, truths, experiment, day))
    return Stored(
        look,
        tuple(found),
        tuple(SampleRatioRow(**row) for row in _rows(connection, sample_ratios, experiment, day)),
        tuple(DecisionRow(**row) for row in _rows(connection, decisions, experiment, day)),
        tuple(SegmentRow(**row) for row in _rows(connection, segment_lifts, experiment, day)),
        tuple(SegmentTestRow(**row) for row in _rows(connection, segment_tests, experiment, day)),
        tuple(view(row) for row in _rows(connection, lift_views, experiment, day)),
        tuple(Check(**row) for row in _rows(connection, checks, experiment, day)),
        tuple(_truth(row) for row in known),
        next((row["source"] for row in known), None),
    )


def as_ofs(connection: Connection, experiment: str) -> tuple[date, ...]:
    """List the days that were analysed, the oldest first."""
    query = select(lifts.c.as_of).where(lifts.c.experiment == experiment).distinct().order_by(lifts.c.as_of)
    return tuple(connection.execute(query).scalars())


def plain(found: Result[Any]) -> Iterator[dict[str, Any]]:
    """Give each row by its columns; lists come back as tuples, as the rows hold them."""
    for row in found.mappings():
        yield {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


def view(row: Mapping[str, Any]) -> LiftView:
    """Return a view as it was before its row was laid flat."""
    of_row = {name: value for name, value in row.items() if name not in _OF_VIEW}
    return LiftView(row["baseline"], row["covariates"], LiftRow(**of_row))


_OF_VIEW = ("baseline", "covariates")

Values = list[dict[str, object]]


def _tables(readout: Stored) -> tuple[tuple[Table, Values], ...]:
    rows: tuple[tuple[Table, Sequence[Any]], ...] = (
        (looks, [readout.look]),
        (lifts, readout.lifts),
        (sample_ratios, readout.sample_ratios),
        (decisions, readout.decisions),
        (segment_lifts, readout.segments),
        (segment_tests, readout.segment_tests),
        (checks, readout.checks),
    )
    whole = tuple((table, [_values(row) for row in found]) for table, found in rows)
    return (*whole, (lift_views, _flat(readout.views)), (truths, _truths(readout)))


def _values(row: Any) -> dict[str, object]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(row).items()}


def _flat(views: Sequence[LiftView]) -> Values:
    return [{"baseline": each.baseline, "covariates": each.covariates, **_values(each.row)} for each in views]


def _truths(readout: Stored) -> Values:
    assert readout.look is not None
    shared = {"experiment": readout.look.experiment, "as_of": readout.look.as_of, "source": readout.truth_from}
    return [shared | _values(each) for each in readout.truths]


def _truth(row: Mapping[str, Any]) -> Truth:
    return Truth(row["surface"], row["metric"], row["arm"], row["control"], row["treatment"], row["lift"])


def _rows(connection: Connection, table: Table, experiment: str, day: date) -> Iterator[dict[str, Any]]:
    """Read a table's rows of one analysis in the order of their keys."""
    query = select(table).where(table.c.experiment == experiment, table.c.as_of == day)
    return plain(connection.execute(query.order_by(*table.primary_key)))
