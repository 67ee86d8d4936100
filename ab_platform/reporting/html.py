"""The report as HTML: an article for a page of one's own, and a page that stands by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files

from ab_platform.reporting.bars import Axis, axis, draw, of_row, scale
from ab_platform.reporting.definitions import columns, metric_told
from ab_platform.reporting.html_parts import banner, belief, chip, figure, glossary, split, term, title, view_note
from ab_platform.reporting.html_segments import segments
from ab_platform.reporting.printed import Printed, printed
from ab_platform.reporting.printed_rows import Group, PrintedRow, Reference, Section
from ab_platform.reporting.viewing import AS_DECIDED, View
from ab_platform.results import Readout

COLUMNS = ("metric", "control", "treatment", "lift", "interval", "p", "verdict", "true-lift")
LABELS = {"control": "Control", "treatment": "Treatment", "lift": "Lift", "p": "p-value", "true-lift": "True lift"}

Axes = Mapping[str, Axis]
"""By the name that rows of one scale share."""


def as_html(
    readout: Readout, *, published: bool = False, view: View = AS_DECIDED, after: str = "", whole: bool = True
) -> str:
    """Lay the table out as one self-contained page, light or dark as the reader's system is.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
        view: how the table is made.
        after: what follows the table, as HTML.
        whole: whether its segments are listed.
    """
    shown = article(readout, published=published, view=view, whole=whole)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(readout.experiment)}, as of {readout.as_of.isoformat()}</title>\n"
        f"<style>\n:root {{ color-scheme: light dark; }}\n{stylesheet()}</style>\n</head>\n"
        f'<body class="abp-page">\n<main>\n{shown}{after}</main>\n</body>\n</html>\n'
    )


def stylesheet() -> str:
    """Return the rules that `article` is drawn with; light or dark follows the `color-scheme` around it."""
    return (files("ab_platform.reporting") / "style.css").read_text(encoding="utf-8")


def article(readout: Readout, *, published: bool = False, view: View = AS_DECIDED, whole: bool = True) -> str:
    """Lay the report out as an article without its style.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
        view: how the table is made.
        whole: whether its segments are listed.
    """
    page = printed(readout, published=published, view=view)
    return f'<article class="abp">\n{_head(page)}{_body(page, whole=whole)}</article>\n'


def article_head(page: Printed) -> str:
    """Lay out what has to be read before any lift, for a page that has something to choose between it and the table."""
    return f'<article class="abp">\n{_head(page)}</article>\n'


def article_body(page: Printed) -> str:
    """Lay out the table and what follows it."""
    return f'<article class="abp">\n{_body(page, whole=True)}</article>\n'


def _head(page: Printed) -> str:
    lead = " ".join(escape(sentence) for sentence in page.lead)
    banners = "".join(banner(each) for each in page.banners)
    return (
        f'<header class="top"><h1>{title(page.title)}</h1>{chip(page.belief)}</header>\n'
        f'<p class="lead">{lead}</p>\n{belief(page.belief)}{banners}{split(page.split)}'
    )


def _body(page: Printed, *, whole: bool) -> str:
    notes = "".join(f"<p>{escape(note)}</p>\n" for note in page.notes)
    blocks = "".join(segments(block, page) for block in page.blocks if whole)
    told = glossary([(_head_words(page)[name], text) for name, text in _defined(page).items()])
    return (
        f'{view_note(page.view)}{_table(page)}<footer>\n<p class="legend">{_legend(page)}</p>\n{told}</footer>\n'
        f"{blocks}<footer>\n{notes}</footer>\n"
    )


def _table(page: Printed) -> str:
    rows = [row for section in page.sections for row in section.rows]
    axes = {
        name: axis([of_row(row) for row in rows if row.effect.axis == name])
        for name in dict.fromkeys(row.effect.axis for row in rows)
    }
    bodies = "".join(_section(section, page, axes) for section in page.sections)
    name = escape(f"{page.heads.effect}s of {page.title}")
    doubted = page.belief.status == "unhealthy"
    caption = f"<caption>{page.belief.meaning}.</caption>\n" if doubted else ""
    kind = "lifts doubted" if doubted else "lifts"
    return f'<table class="{kind}" role="table" aria-label="{name}">\n{caption}{_heads(page, axes)}{bodies}</table>\n'


def _heads(page: Printed, axes: Axes) -> str:
    words, told = _head_words(page), _defined(page)
    # Differences of several units have no scale in common, so none stands above them.
    ticks = scale(axes["lift"]) if "lift" in axes else ""
    row = "".join(
        f'<th role="columnheader" scope="col" class="{name}">{term(words[name], told.get(name, ""))}'
        f"{ticks if name == 'interval' else ''}</th>"
        for name in COLUMNS[: _width(page)]
    )
    return f'<thead role="rowgroup">\n<tr role="row">{row}</tr>\n</thead>\n'


def _head_words(page: Printed) -> dict[str, str]:
    heads = page.heads
    words = ("Metric", heads.control, heads.treatment, heads.effect, heads.interval, "p-value", "Verdict", "True lift")
    return dict(zip(COLUMNS, words, strict=True))


def _defined(page: Printed) -> dict[str, str]:
    return columns(relative=page.relative, truths=page.truths)


def _width(page: Printed) -> int:
    return len(COLUMNS) if page.truths else len(COLUMNS) - 1


def _section(section: Section, page: Printed, axes: Axes) -> str:
    of_control, of_treatment = section.users
    users = escape(f"{page.control} {of_control:,} users, {section.arm} {of_treatment:,} users")
    title = f"{escape(section.surface)} <small>{users}</small>"
    rows = "".join(line for group in section.groups for line in _group(group, page, axes))
    return (
        '<tbody role="rowgroup">\n<tr role="row" class="surface">'
        f'<th role="rowheader" scope="rowgroup" colspan="{_width(page)}">{title}</th></tr>\n{rows}</tbody>\n'
    )


def _group(group: Group, page: Printed, axes: Axes) -> Iterator[str]:
    if group.title:
        title = f'<th role="rowheader" scope="rowgroup" colspan="{_width(page)}">{group.title}</th>'
        yield f'<tr role="row" class="role">{title}</tr>\n'
    for row in group.rows:
        yield from _rows(row, page, axes[row.effect.axis])


def _rows(row: PrintedRow, page: Printed, shared: Axis) -> Iterator[str]:
    cells = _cells(row, page, shared)
    primary = " primary" if row.primary else ""
    yield f'<tr role="row" class="measured{primary}">{"".join(cells[: _width(page)])}</tr>\n'
    if row.published is not None:
        yield _published(row.published, _width(page))
    if row.reason:
        reason = f'<td role="cell" colspan="{_width(page)}">Why absent: {escape(row.reason)}</td>'
        yield f'<tr role="row" class="why">{reason}</tr>\n'


def _cells(row: PrintedRow, page: Printed, shared: Axis) -> list[str]:
    interval = f"{row.interval} ({row.level})" if row.level else row.interval
    details = (row.counts_label, *(each for each in (row.saved, row.cap) if each))
    detectable = f"<small>{escape(row.detectable)}</small>" if row.detectable else ""
    heads = page.heads
    return [
        f'<th role="rowheader" scope="row" class="metric">{term(row.label, metric_told(row.measured))}'
        f"{''.join(f'<small>{escape(each)}</small>' for each in details)}</th>",
        _cell("control", row.control, row.counts_control, label=heads.control),
        _cell("treatment", row.treatment, row.counts_treatment, label=heads.treatment),
        _cell("lift", row.lift, label=heads.effect),
        f'<td role="cell" class="interval">{draw(of_row(row), shared)}<small>{figure(interval)}</small></td>',
        _cell("p", row.p_value),
        f'<td role="cell" class="verdict" data-label="Verdict"><span class="{row.tone}">{figure(row.verdict)}</span>'
        f"{detectable}</td>",
        _cell("true-lift", *(("",) if row.truth is None else (row.truth.lift, row.truth.remark))),
    ]


def _published(figures: Reference, width: int) -> str:
    empty = f'<td role="cell" colspan="{width - 4}"></td>'
    return (
        '<tr role="row" class="paper"><th role="rowheader" scope="row" class="metric">in the paper</th>'
        f"{_cell('control', figures.control)}{_cell('treatment', figures.treatment)}{_cell('lift', figures.lift)}"
        f"{empty}</tr>\n"
    )


def _cell(name: str, text: str, detail: str = "", *, label: str = "") -> str:
    small = f"<small>{escape(detail)}</small>" if detail else ""
    return f'<td role="cell" class="{name}" data-label="{label or LABELS[name]}">{figure(text)}{small}</td>'


def _legend(page: Printed) -> str:
    guarded = any(row.effect.margin is not None for section in page.sections for row in section.rows)
    effect = page.heads.effect.lower()
    marks = [f'<span class="key lift"></span> {effect}', '<span class="key range"></span> its interval']
    marks += ['<span class="key margin"></span> margin of a guardrail'] * guarded
    marks += ['<span class="key true"></span> true lift'] * page.truths
    marks += ["bars of one unit share a scale"] * (not page.relative)
    return ", ".join(marks)
