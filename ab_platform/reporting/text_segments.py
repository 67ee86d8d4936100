"""The rows by segment as plain text: one line a segment, its interval drawn with characters."""

from __future__ import annotations

from collections.abc import Iterator

from ab_platform.reporting.bars import Axis, axis, of_segment, plot
from ab_platform.reporting.printed import Printed
from ab_platform.reporting.printed_segments import PrintedSegment, SegmentBlock, SegmentTable
from ab_platform.reporting.wrapping import wrapped

INDENT = "   "
USERS, LIFT, INTERVAL = 9, 9, 18
NARROWEST_SEGMENT, WIDEST_SEGMENT = 8, 24
NARROWEST_PLOT, WIDEST_PLOT = 11, 36


def segment_lines(block: SegmentBlock, page: Printed, width: int) -> list[str]:
    """Lay a block out.

    Args:
        block: of one dimension.
        page: that it is part of.
        width: characters a line may have.
    """
    segments = [each for table in block.tables for each in table.segments]
    longest = max((len(each.segment) for each in segments), default=0)
    label = max(NARROWEST_SEGMENT, min(longest, WIDEST_SEGMENT))
    shared = axis([of_segment(each) for each in segments])
    lines = [line for table in block.tables for line in _table(table, page, shared, label, width)]
    return [*wrapped([block.title], width), *lines, *wrapped([block.meaning], width)]


def _table(table: SegmentTable, page: Printed, shared: Axis, label: int, width: int) -> Iterator[str]:
    title = f"{table.title}: {table.test}" if table.test else table.title
    yield from wrapped([title], width, indent=" ", hanging=INDENT)
    heads = ["Users of", "control", "treatment", "Lift", _short(page.interval_label)]
    yield _line(heads, label)
    room = width - len(_line(["", "", "", "", "." * INTERVAL], label)) - 2
    for each in table.segments:
        drawn = plot(of_segment(each), shared, min(room, WIDEST_PLOT)) if room >= NARROWEST_PLOT else ""
        yield f"{_line(_cells(each, label), label)}  {drawn}".rstrip()
        if each.reason:
            yield from wrapped([f"why absent: {each.reason}"], width, indent=INDENT * 2)


def _cells(each: PrintedSegment, label: int) -> list[str]:
    name = each.segment if len(each.segment) <= label else f"{each.segment[: label - 1]}…"
    return [name, each.users_control, each.users_treatment, each.lift, each.interval]


def _short(label: str) -> str:
    """Return the label of the interval as far as the column holds it: the table has said it whole."""
    return label if len(label) <= INTERVAL else label.split(",")[0].replace("confidence sequence", "conf. seq.")


def _line(cells: list[str], label: int) -> str:
    name, control, treatment, lift, interval = cells
    return f"{INDENT}{name:<{label}} {control:>{USERS}} {treatment:>{USERS}} {lift:>{LIFT}} {interval:>{INTERVAL}}"
