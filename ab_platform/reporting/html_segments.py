"""The rows by segment as HTML: a small table a row, all bars of a dimension on one axis."""

from __future__ import annotations

from html import escape

from ab_platform.reporting.bars import Axis, axis, draw, of_segment, scale
from ab_platform.reporting.html_parts import capital, figure
from ab_platform.reporting.printed import Printed
from ab_platform.reporting.printed_segments import PrintedSegment, SegmentBlock, SegmentTable

COLUMNS = 5
MOST_TICKS = 4


def segments(block: SegmentBlock, page: Printed) -> str:
    """Lay a block out.

    Args:
        block: of one dimension.
        page: that it is part of.
    """
    shared = axis([of_segment(each) for table in block.tables for each in table.segments])
    tables = "".join(_table(table, block, page, shared) for table in block.tables)
    meaning = f'<p class="quiet">{escape(block.meaning)}</p>\n' if block.meaning else ""
    return (
        f'<section class="segments">\n<h2>{escape(block.title)}</h2>\n{meaning}'
        f'<div class="grid">\n{tables}</div>\n</section>\n'
    )


def _table(table: SegmentTable, block: SegmentBlock, page: Printed, shared: Axis) -> str:
    found = "differs" if table.found == "differs" else "plain"
    test = f'<p class="test {found}">{escape(capital(table.test))}.</p>\n' if table.test else ""
    rows = "".join(_row(each, shared) for each in table.segments)
    return (
        f'<div class="by-segment">\n<h3>{escape(table.title)}</h3>\n{test}'
        f'<table role="table" aria-label="{escape(f"{page.title}: {table.title}")}">\n'
        f'{_heads(block, page, shared)}<tbody role="rowgroup">\n{rows}</tbody>\n</table>\n</div>\n'
    )


def _heads(block: SegmentBlock, page: Printed, shared: Axis) -> str:
    interval = f"{escape(page.interval_label)}{scale(shared, most=MOST_TICKS)}"
    heads = (
        ("segment", block.head),
        ("control", "Control<small>users</small>"),
        ("treatment", "Treatment<small>users</small>"),
        ("lift", "Lift"),
    )
    cells = "".join(
        f'<th role="columnheader" scope="col" class="{name}">{head}</th>'
        for name, head in (*heads, ("interval", interval))
    )
    return f'<thead role="rowgroup">\n<tr role="row">{cells}</tr>\n</thead>\n'


def _row(each: PrintedSegment, shared: Axis) -> str:
    why = (
        f'<tr role="row" class="why"><td role="cell" colspan="{COLUMNS}">Why absent: {escape(each.reason)}</td></tr>\n'
    )
    return (
        f'<tr role="row" class="one"><th role="rowheader" scope="row" class="segment">{escape(each.segment)}</th>'
        f"{_cell('control', 'Control users', each.users_control)}"
        f"{_cell('treatment', 'Treatment users', each.users_treatment)}{_cell('lift', 'Lift', each.lift)}"
        f'<td role="cell" class="interval">{draw(of_segment(each), shared)}<small>{figure(each.interval)}</small></td>'
        f"</tr>\n{why if each.reason else ''}"
    )


def _cell(name: str, label: str, text: str) -> str:
    return f'<td role="cell" class="{name}" data-label="{label}">{figure(text)}</td>'
