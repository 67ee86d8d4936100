"""The primary rows among the users of each segment as they are printed, with the test between the segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ab_platform.events import Surface
from ab_platform.reporting import figures
from ab_platform.reporting.printed_rows import metric_of, one_line, surface_label
from ab_platform.reporting.verdict import Heterogeneity, heterogeneity
from ab_platform.results import LiftRow, Readout, SegmentRow, SegmentTestRow

ALL = "all users"
AGE = "days since exposure"
NOVELTY_TITLE = "Novelty: lift by days since exposure"
NOVELTY_MEANING = "Each day counts the users whose day is over; who did not come on it counts as 0."

Key = tuple[Surface, str, str, str]
"""Surface, metric, treatment and dimension."""


@dataclass(frozen=True)
class PrintedSegment:
    """A row of the table in one segment; the figures as in `PrintedRow`."""

    row: SegmentRow
    segment: str
    users_control: str
    users_treatment: str
    lift: str
    interval: str
    reason: str


@dataclass(frozen=True)
class SegmentTable:
    """One row of the table in all segments of a dimension.

    Attributes:
        title: surface and metric, and the treatment where there are several.
        found: whether the lift differs; None where that is not tested.
        test: the same in a sentence; empty where it is not tested.
        segments: in the order of the readout.
    """

    title: str
    found: Heterogeneity | None
    test: str
    segments: tuple[PrintedSegment, ...]


@dataclass(frozen=True)
class SegmentBlock:
    """Every primary row, its users divided by one thing.

    Attributes:
        title: what by.
        head: what one part is called.
        meaning: how to read it, where that is not plain.
        tables: one a row.
    """

    title: str
    head: str
    meaning: str
    tables: tuple[SegmentTable, ...]


def segment_blocks(readout: Readout) -> tuple[SegmentBlock, ...]:
    """Print the primary rows by segment, dimension after dimension, days since the exposure last.

    Args:
        readout: of one experiment as of one day.
    """
    primary = {(row.surface, row.metric, row.arm) for row in readout.lifts if row.role == "primary"}
    found: dict[Key, list[SegmentRow]] = {}
    for row in readout.segments:
        if (row.surface, row.metric, row.arm) in primary:
            found.setdefault((row.surface, row.metric, row.arm, row.dimension), []).append(row)
    dimensions = sorted(dict.fromkeys(key[3] for key in found), key=lambda dimension: dimension == AGE)
    return tuple(_block(readout, dimension, found) for dimension in dimensions)


def tables(readout: Readout, row: LiftRow) -> tuple[tuple[str, SegmentTable], ...]:
    """Print one row by segment, whatever its role, each with its dimension; days since the exposure last.

    Args:
        readout: of one experiment as of one day.
        row: of its table.
    """
    found: dict[str, list[SegmentRow]] = {}
    for each in readout.segments:
        if (each.surface, each.metric, each.arm) == (row.surface, row.metric, row.arm):
            found.setdefault(each.dimension, []).append(each)
    return tuple(
        (dimension, _table(readout, (row.surface, row.metric, row.arm, dimension), found[dimension]))
        for dimension in sorted(found, key=lambda dimension: dimension == AGE)
    )


def _block(readout: Readout, dimension: str, found: dict[Key, list[SegmentRow]]) -> SegmentBlock:
    order = [(row.surface, row.metric, row.arm, dimension) for row in readout.lifts]
    tables = tuple(_table(readout, key, found[key]) for key in order if key in found)
    if dimension == AGE:
        return SegmentBlock(NOVELTY_TITLE, "Day", NOVELTY_MEANING, tables)
    return SegmentBlock(f"Segments: lift by {dimension}", "Segment", "", tables)


def _table(readout: Readout, key: Key, rows: Sequence[SegmentRow]) -> SegmentTable:
    surface, metric, arm, dimension = key
    title = f"{surface_label(surface)}, {metric_of(readout, surface, metric).label}"
    if len({row.arm for row in readout.lifts}) > 1:
        title = f"{title}, {arm}"
    segments = tuple(_segment(row) for row in rows)
    tests = (test for test in readout.segment_tests if (test.surface, test.metric, test.arm, test.dimension) == key)
    test = None if dimension == AGE else next(tests, None)
    if test is None:
        return SegmentTable(title, None, "", segments)
    alpha = readout.lifts[0].alpha
    return SegmentTable(title, heterogeneity(test, alpha), _sentence(readout, test, alpha), segments)


def _segment(row: SegmentRow) -> PrintedSegment:
    decimals = figures.lift_decimals(row.lift, row.low, row.high)
    return PrintedSegment(
        row=row,
        segment=row.segment,
        users_control=f"{row.users_control:,}",
        users_treatment=f"{row.users_treatment:,}",
        lift=figures.percent(row.lift, decimals),
        interval=figures.interval(row, decimals),
        reason=one_line(row.reason),
    )


def _sentence(readout: Readout, test: SegmentTestRow, alpha: float) -> str:
    """Say what the test found, with the number of tests that it is adjusted for."""
    found = heterogeneity(test, alpha)
    if found == "unknown":
        reason = one_line(test.reason)
        return "whether the lift differs between segments is unknown" + (f": {reason}" if reason else "")
    p_value = figures.p_clause(figures.p_value(test.p_value, alpha))
    tests = len(family(readout, test))
    adjusted = f", Holm over {tests} tests" if tests > 1 else ""
    words = "the lift DIFFERS between segments" if found == "differs" else "no difference between segments shown"
    return f"{words}, {p_value}{adjusted}"


def family(readout: Readout, test: SegmentTestRow) -> tuple[SegmentTestRow, ...]:
    """Return the tests that one is adjusted with: those of primary rows are one family, those of all others another."""
    primary = {(row.surface, row.metric, row.arm) for row in readout.lifts if row.role == "primary"}

    def decides(each: SegmentTestRow) -> bool:
        return (each.surface, each.metric, each.arm) in primary

    return tuple(each for each in readout.segment_tests if decides(each) == decides(test))
