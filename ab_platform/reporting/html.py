"""The table as HTML: an article for a page of one's own, and a page that stands by itself."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files

from ab_platform.reporting.bars import Axis, axis, bar, scale
from ab_platform.reporting.printed import Printed, PrintedRow, Reference, Section, Split, printed
from ab_platform.reporting.verdict import SplitVerdict
from ab_platform.results import Readout

COLUMNS = ("metric", "control", "treatment", "lift", "interval", "p", "verdict", "true-lift")
LABELS = {"control": "Control", "treatment": "Treatment", "lift": "Lift", "p": "p-value", "true-lift": "True lift"}
MINUS = "−"

SPLIT_ORDER: tuple[SplitVerdict, ...] = ("ALARM", "unknown", "trust the split")
SPLIT_CLASSES: dict[SplitVerdict, str] = {"ALARM": "alarm", "unknown": "unknown", "trust the split": "trust"}


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
    """Lay the table out as an article without its style.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
    """
    page = printed(readout, published=published)
    lead = " ".join(escape(sentence) for sentence in page.lead)
    notes = "".join(f"<p>{escape(note)}</p>\n" for note in page.notes)
    return (
        f'<article class="abp">\n<h1>{escape(page.title)}</h1>\n<p class="lead">{lead}</p>\n'
        f"{_splits(page)}{_table(page, readout)}"
        f'<footer>\n<p class="legend">{_legend(bool(readout.truths))}</p>\n{notes}</footer>\n</article>\n'
    )


def _splits(page: Printed) -> str:
    if not page.splits:
        return ""
    worst = min(page.splits, key=lambda split: SPLIT_ORDER.index(split.verdict))
    items = "".join(f"<li>{_split(split)}</li>\n" for split in page.splits)
    return (
        f'<section class="split {SPLIT_CLASSES[worst.verdict]}" aria-label="Sample ratio">\n'
        f"<p><strong>{_capital(worst.verdict)}.</strong> {escape(worst.meaning)}</p>\n<ul>\n{items}</ul>\n</section>\n"
    )


def _split(split: Split) -> str:
    reason = f" Why: {escape(split.reason)}." if split.reason else ""
    scope = escape(_capital(split.scope))
    return f"<b>{scope}:</b> {split.verdict}. {escape(split.figures)}.{reason}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _table(page: Printed, readout: Readout) -> str:
    shared = axis(readout.lifts, readout.truths)
    replayed = bool(readout.truths)
    bodies = "".join(_section(section, page.control, shared, replayed=replayed) for section in page.sections)
    name = escape(f"Lifts of {page.title}")
    return f'<table role="table" aria-label="{name}">\n{_heads(page, shared, replayed=replayed)}{bodies}</table>\n'


def _heads(page: Printed, shared: Axis, *, replayed: bool) -> str:
    interval = f"{escape(page.interval_label)}{scale(shared)}"
    heads = ["Metric", "Control", "Treatment", "Lift", interval, "p-value", "Verdict", "True lift"]
    cells = zip(COLUMNS[: _width(replayed)], heads, strict=False)
    row = "".join(f'<th role="columnheader" scope="col" class="{name}">{head}</th>' for name, head in cells)
    return f'<thead role="rowgroup">\n<tr role="row">{row}</tr>\n</thead>\n'


def _width(replayed: bool) -> int:
    return len(COLUMNS) if replayed else len(COLUMNS) - 1


def _section(section: Section, control: str, shared: Axis, *, replayed: bool) -> str:
    of_control, of_treatment = section.users
    users = escape(f"{control} {of_control:,} users, {section.arm} {of_treatment:,} users")
    title = f"{escape(section.surface)} <small>{users}</small>"
    rows = "".join(line for row in section.rows for line in _rows(row, shared, replayed=replayed))
    return (
        '<tbody role="rowgroup">\n<tr role="row" class="surface">'
        f'<th role="rowheader" scope="rowgroup" colspan="{_width(replayed)}">{title}</th></tr>\n{rows}</tbody>\n'
    )


def _rows(row: PrintedRow, shared: Axis, *, replayed: bool) -> Iterator[str]:
    cells = _cells(row, shared)
    yield f'<tr role="row" class="measured">{"".join(cells[: _width(replayed)])}</tr>\n'
    if row.published is not None:
        yield _published(row.published, replayed=replayed)
    if row.reason:
        reason = f'<td role="cell" colspan="{_width(replayed)}">Why absent: {escape(row.reason)}</td>'
        yield f'<tr role="row" class="why">{reason}</tr>\n'


def _cells(row: PrintedRow, shared: Axis) -> list[str]:
    word = row.verdict.split()[0]
    return [
        f'<th role="rowheader" scope="row" class="metric">{escape(row.label)}'
        f"<small>{escape(row.counts_label)}</small></th>",
        _cell("control", row.control, row.counts_control),
        _cell("treatment", row.treatment, row.counts_treatment),
        _cell("lift", row.lift),
        f'<td role="cell" class="interval">{bar(row, shared)}<small>{_figure(row.interval)}</small></td>',
        _cell("p", row.p_value),
        f'<td role="cell" class="verdict" data-label="Verdict"><span class="{word}">{row.verdict}</span></td>',
        _cell("true-lift", *(("",) if row.truth is None else (row.truth.lift, row.truth.remark))),
    ]


def _published(figures: Reference, *, replayed: bool) -> str:
    empty = f'<td role="cell" colspan="{_width(replayed) - 4}"></td>'
    return (
        '<tr role="row" class="paper"><th role="rowheader" scope="row" class="metric">in the paper</th>'
        f"{_cell('control', figures.control)}{_cell('treatment', figures.treatment)}{_cell('lift', figures.lift)}"
        f"{empty}</tr>\n"
    )


def _cell(name: str, figure: str, detail: str = "") -> str:
    small = f"<small>{escape(detail)}</small>" if detail else ""
    return f'<td role="cell" class="{name}" data-label="{LABELS[name]}">{_figure(figure)}{small}</td>'


def _figure(text: str) -> str:
    return escape(text.replace("-", MINUS))


def _legend(replayed: bool) -> str:
    marks = ['<span class="key lift"></span> lift', '<span class="key range"></span> its interval']
    marks += ['<span class="key true"></span> true lift'] * replayed
    return ", ".join(marks)
