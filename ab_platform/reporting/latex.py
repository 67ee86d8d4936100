r"""The report as LaTeX; the document needs `\usepackage{array,booktabs}`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ab_platform.reporting.figures import ABSENT
from ab_platform.reporting.printed import Banner, Printed, printed
from ab_platform.reporting.printed_rows import PrintedRow, Reference, Section
from ab_platform.reporting.printed_segments import SegmentBlock, SegmentTable
from ab_platform.reporting.printed_split import Split
from ab_platform.reporting.viewing import AS_DECIDED, View
from ab_platform.reporting.wrapping import wrapped
from ab_platform.results import Readout

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"{\char34}",
    ABSENT: "---",
}
_COLUMNS = 7
_SEGMENT_COLUMNS = 5
_INTERVAL_WIDTH = 16  # characters


def as_latex(readout: Readout, *, published: bool = False, view: View = AS_DECIDED) -> str:
    """Lay the report out as a LaTeX float with the rules of booktabs, and a second one where there are segments.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
        view: how the table is made.
    """
    page = printed(readout, published=published, view=view)
    lines = [
        r"% needs \usepackage{array,booktabs}",
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{2.4pt}",
        rf"\caption{{{escape(' '.join([f'{page.title}:', *page.lead]))}}}",
        r"\smallskip\begin{minipage}{\linewidth}\raggedright",
        *(rf"{line}\par\smallskip" for line in _above(page)),
        r"\end{minipage}\par",
        rf"\begin{{tabular}}{{@{{}}{_ragged(0.21)}rrrrr{_ragged(0.15)}@{{}}}}",
        r"\toprule",
        rf"Metric & {page.heads.control} & {page.heads.treatment} & {page.heads.effect} & "
        rf"{_stacked(page.interval_label)} & $p$-value & Verdict \\",
        *(line for section in page.sections for line in _section(section, page.control)),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip\raggedright\footnotesize {escape(note)}" for note in page.notes),
        r"\end{table}",
        *(line for block in page.blocks for line in _segments(block, page)),
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Keep a text from being read as markup."""
    return "".join(_ESCAPES.get(each, each) for each in text)


def _ragged(share: float) -> str:
    """Return a column of that share of the line, whose cells go on beneath themselves."""
    return rf">{{\raggedright\arraybackslash}}p{{{share}\linewidth}}"


def _stacked(label: str) -> str:
    """Set the head of a column on as many lines as its figures are wide for."""
    lines = [escape(line) for line in wrapped([label], _INTERVAL_WIDTH)]
    return lines[0] if len(lines) == 1 else _beneath(lines)


def _beneath(lines: Sequence[str]) -> str:
    """Set lines beneath each other in one cell."""
    joined = r"\\".join(lines)
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{joined}\end{{tabular}}"


def _above(page: Printed) -> Iterator[str]:
    """Yield what has to be read before any lift."""
    for banner in page.banners:
        yield _banner(banner)
    yield from _split(page.split)
    for each in page.belief.findings:
        yield rf"{escape(each.name)}: \textbf{{{each.status}}}. {escape(each.words)}"
    if page.view:
        yield rf"\textit{{{escape(page.view)}}}"


def _banner(banner: Banner) -> str:
    left = f", {banner.days_left}" if banner.days_left else ""
    return rf"{escape(banner.arm)}: \textbf{{{banner.outcome}}}{left}. {escape(banner.reason)}"


def _split(split: Split) -> Iterator[str]:
    if split.verdict == "trust the split":
        yield rf"Split: \textbf{{{split.verdict}}} of {escape(split.sound)}."
    else:
        yield rf"Split: \textbf{{{split.verdict}}}. {escape(split.meaning)}"
        for check in split.checks:
            yield rf"\quad {escape(check.scope)}: \textbf{{{check.verdict}}}. {escape(check.words)}"
        if split.sound:
            yield rf"\quad Trusted: {escape(split.sound)}."
    if split.untested:
        yield rf"\quad Not tested: {escape(split.untested)}."
    if split.mixed:
        yield rf"\quad {escape(split.mixed)}"


def _section(section: Section, control: str) -> Iterator[str]:
    of_control, of_treatment = section.users
    users = f"{section.arm} {of_treatment:,} users, {control} {of_control:,} users"
    yield r"\midrule"
    yield rf"\multicolumn{{{_COLUMNS}}}{{@{{}}l}}{{\textit{{{escape(section.surface)}}}: {escape(users)}}} \\"
    for group in section.groups:
        if group.title:
            yield rf"\multicolumn{{{_COLUMNS}}}{{@{{}}l}}{{\textsc{{{group.title.lower()}}}}} \\"
        for row in group.rows:
            yield from _row(row)


def _row(row: PrintedRow) -> Iterator[str]:
    label = rf"\textbf{{{escape(row.label)}}}" if row.primary else escape(row.label)
    interval = _figure(row.interval)
    if row.level:
        interval = _beneath([interval, escape(f"({row.level})")])
    figures = [*(_figure(cell) for cell in (row.control, row.treatment, row.lift)), interval, _figure(row.p_value)]
    yield " & ".join([label, *figures, _figure(row.verdict)]) + r" \\"
    if row.truth is not None:
        yield _reference("true", row.truth)
    if row.published is not None:
        yield _reference("paper", row.published)
    if row.notes:
        yield _wide(f"({'; '.join(row.notes)})", _COLUMNS)
    if row.reason:
        yield _wide(f"why absent: {row.reason}", _COLUMNS)


def _reference(name: str, figures: Reference) -> str:
    cells = [figures.control, figures.treatment, figures.lift, figures.remark, "", ""]
    return " & ".join([rf"\quad {name}", *(_figure(cell) for cell in cells)]) + r" \\"


def _wide(text: str, columns: int) -> str:
    return rf"\multicolumn{{{columns}}}{{@{{}}p{{\linewidth}}@{{}}}}{{\quad {escape(text)}}} \\"


def _figure(text: str) -> str:
    """Escape a cell, and set the sign of a number as one."""
    sign = text[:1] if text[:1] in "+-" else ""
    typeset = escape(text.removeprefix(sign)).replace(" to -", " to $-$").replace(" than -", " than $-$")
    return (f"${sign}$" if sign else "") + typeset


def _segments(block: SegmentBlock, page: Printed) -> list[str]:
    heads = [block.head, "Users: control", "Users: treatment", "Lift"]
    return [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape(f'{page.title}. {block.title}. {block.meaning}'.strip())}}}",
        rf"\begin{{tabular}}{{@{{}}{_ragged(0.25)}rrrr@{{}}}}",
        r"\toprule",
        " & ".join([*(escape(head) for head in heads), _stacked(page.interval_label)]) + r" \\",
        *(line for table in block.tables for line in _segment_rows(table)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _segment_rows(table: SegmentTable) -> Iterator[str]:
    title = f"{table.title}: {table.test}." if table.test else f"{table.title}:"
    yield r"\midrule"
    yield _wide(title, _SEGMENT_COLUMNS).replace(r"\quad ", "", 1)
    for each in table.segments:
        yield _cells([each.segment, each.users_control, each.users_treatment, each.lift, each.interval])
        if each.reason:
            yield _wide(f"why absent: {each.reason}", _SEGMENT_COLUMNS)


def _cells(cells: Sequence[str]) -> str:
    return " & ".join(_figure(cell) for cell in cells) + r" \\"
