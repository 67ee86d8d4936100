"""The report as HTML: an article for a page of one's own, and a page that stands by itself."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files

from ab_platform.reporting.bars import Axis, axis, draw, of_row, scale
from ab_platform.reporting.html_parts import banner, figure, split
from ab_platform.reporting.html_segments import segments
from ab_platform.reporting.printed import Printed, printed
from ab_platform.reporting.printed_rows import Group, PrintedRow, Reference, Section
from ab_platform.results import Readout

COLUMNS = ("metric", "control", "treatment", "lift", "interval", "p", "verdict", "true-lift")
LABELS = {"control": "Control", "treatment": "Treatment", "lift": "Lift", "p": "p-value", "true-lift": "True lift"}


def as_html(readout: Readout, *, published: bool = False) -> str:
    """Lay the table out as one self-contained page, light or dark as the reader's system is.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(readout.experiment)}, as of {readout.as_of.isoformat()}</title>\n"
        f"<style>\n:root {{ color-scheme: light dark; }}\n{stylesheet()}</style>\n</head>\n"
        f'<body class="abp-page">\n<main>\n{article(readout, published=published)}</main>\n</body>\n</html>\n'
    )


def stylesheet() -> str:
    """Return the rules that `article` is drawn with; light or dark follows the `color-scheme` around it."""
    return (files("ab_platform.reporting") / "style.css").read_text(encoding="utf-8")


def article(readout: Readout, *, published: bool = False) -> str:
    """Lay the report out as an article without its style.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
    """
    page = printed(readout, published=published)
    lead = " ".join(escape(sentence) for sentence in page.lead)
    notes = "".join(f"<p>{escape(note)}</p>\n" for note in page.notes)
    banners = "".join(banner(each) for each in page.banners)
    blocks = "".join(segments(block, page) for block in page.blocks)
    return (
        f'<article class="abp">\n<h1>{escape(page.title)}</h1>\n<p class="lead">{lead}</p>\n'
        f"{banners}{split(page.split)}{_table(page, truths=bool(readout.truths))}{blocks}"
        f'<footer>\n<p class="legend">{_legend(page, truths=bool(readout.truths))}</p>\n{notes}</footer>\n</article>\n'
    )


def _table(page: Printed, *, truths: bool) -> str:
    shared = axis([of_row(row) for section in page.sections for row in section.rows])
    bodies = "".join(_section(section, page.control, shared, truths=truths) for section in page.sections)
    name = escape(f"Lifts of {page.title}")
    heads = _heads(page, shared, truths=truths)
    return f'<table class="lifts" role="table" aria-label="{name}">\n{heads}{bodies}</table>\n'


def _heads(page: Printed, shared: Axis, *, truths: bool) -> str:
    interval = f"{escape(page.interval_label)}{scale(shared)}"
    heads = ["Metric", "Control", "Treatment", "Lift", interval, "p-value", "Verdict", "True lift"]
    cells = zip(COLUMNS[: _width(truths)], heads, strict=False)
    row = "".join(f'<th role="columnheader" scope="col" class="{name}">{head}</th>' for name, head in cells)
    return f'<thead role="rowgroup">\n<tr role="row">{row}</tr>\n</thead>\n'


def _width(truths: bool) -> int:
    return len(COLUMNS) if truths else len(COLUMNS) - 1


def _section(section: Section, control: str, shared: Axis, *, truths: bool) -> str:
    of_control, of_treatment = section.users
    users = escape(f"{control} {of_control:,} users, {section.arm} {of_treatment:,} users")
    title = f"{escape(section.surface)} <small>{users}</small>"
    rows = "".join(line for group in section.groups for line in _group(group, shared, truths=truths))
    return (
        '<tbody role="rowgroup">\n<tr role="row" class="surface">'
        f'<th role="rowheader" scope="rowgroup" colspan="{_width(truths)}">{title}</th></tr>\n{rows}</tbody>\n'
    )


def _group(group: Group, shared: Axis, *, truths: bool) -> Iterator[str]:
    if group.title:
        title = f'<th role="rowheader" scope="rowgroup" colspan="{_width(truths)}">{group.title}</th>'
        yield f'<tr role="row" class="role">{title}</tr>\n'
    for row in group.rows:
        yield from _rows(row, shared, truths=truths)


def _rows(row: PrintedRow, shared: Axis, *, truths: bool) -> Iterator[str]:
    cells = _cells(row, shared)
    primary = " primary" if row.primary else ""
    yield f'<tr role="row" class="measured{primary}">{"".join(cells[: _width(truths)])}</tr>\n'
    if row.published is not None:
        yield _published(row.published, truths=truths)
    if row.reason:
        reason = f'<td role="cell" colspan="{_width(truths)}">Why absent: {escape(row.reason)}</td>'
        yield f'<tr role="row" class="why">{reason}</tr>\n'


def _cells(row: PrintedRow, shared: Axis) -> list[str]:
    interval = f"{row.interval} ({row.level})" if row.level else row.interval
    details = (row.counts_label, *(each for each in (row.saved, row.cap) if each))
    detectable = f"<small>{escape(row.detectable)}</small>" if row.detectable else ""
    return [
        f'<th role="rowheader" scope="row" class="metric">{escape(row.label)}'
        f"{''.join(f'<small>{escape(each)}</small>' for each in details)}</th>",
        _cell("control", row.control, row.counts_control),
        _cell("treatment", row.treatment, row.counts_treatment),
        _cell("lift", row.lift),
        f'<td role="cell" class="interval">{draw(of_row(row), shared)}<small>{figure(interval)}</small></td>',
        _cell("p", row.p_value),
        f'<td role="cell" class="verdict" data-label="Verdict"><span class="{row.tone}">{figure(row.verdict)}</span>'
        f"{detectable}</td>",
        _cell("true-lift", *(("",) if row.truth is None else (row.truth.lift, row.truth.remark))),
    ]


def _published(figures: Reference, *, truths: bool) -> str:
    empty = f'<td role="cell" colspan="{_width(truths) - 4}"></td>'
    return (
        '<tr role="row" class="paper"><th role="rowheader" scope="row" class="metric">in the paper</th>'
        f"{_cell('control', figures.control)}{_cell('treatment', figures.treatment)}{_cell('lift', figures.lift)}"
        f"{empty}</tr>\n"
    )


def _cell(name: str, text: str, detail: str = "") -> str:
    small = f"<small>{escape(detail)}</small>" if detail else ""
    return f'<td role="cell" class="{name}" data-label="{LABELS[name]}">{figure(text)}{small}</td>'


def _legend(page: Printed, *, truths: bool) -> str:
    guarded = any(row.row.role == "guardrail" for section in page.sections for row in section.rows)
    marks = ['<span class="key lift"></span> lift', '<span class="key range"></span> its interval']
    marks += ['<span class="key margin"></span> margin of a guardrail'] * guarded
    marks += ['<span class="key true"></span> true lift'] * truths
    return ", ".join(marks)
