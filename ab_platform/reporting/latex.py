r"""The table as LaTeX; the document needs `\usepackage{booktabs}`."""

from __future__ import annotations

from collections.abc import Iterator

from ab_platform.reporting.figures import ABSENT
from ab_platform.reporting.printed import Printed, PrintedRow, Reference, Section, Split, printed
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


def as_latex(readout: Readout, *, published: bool = False) -> str:
    """Lay the table out as a LaTeX float with the rules of booktabs.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
    """
    page = printed(readout, published=published)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{2.4pt}",
        rf"\caption{{{_caption(page)}}}",
        r"\begin{tabular}{@{}lrrrrrl@{}}",
        r"\toprule",
        rf"Metric & Control & Treatment & Lift & {escape(page.interval_label)} & $p$-value & Verdict \\",
        *(line for section in page.sections for line in _section(section, page.control)),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip\raggedright\footnotesize {line}" for line in _beneath(page)),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Keep a text from being read as markup."""
    return "".join(_ESCAPES.get(each, each) for each in text)


def _caption(page: Printed) -> str:
    return escape(" ".join([f"{page.title}:", *page.lead]))


def _section(section: Section, control: str) -> Iterator[str]:
    of_control, of_treatment = section.users
    users = f"{section.arm} {of_treatment:,} users, {control} {of_control:,} users"
    yield r"\midrule"
    yield rf"\multicolumn{{{_COLUMNS}}}{{@{{}}l}}{{\textit{{{escape(section.surface)}}}: {escape(users)}}} \\"
    for row in section.rows:
        yield from _row(row)


def _row(row: PrintedRow) -> Iterator[str]:
    cells = [row.label, row.control, row.treatment, row.lift, row.interval, row.p_value, row.verdict]
    yield " & ".join(_figure(cell) for cell in cells) + r" \\"
    if row.truth is not None:
        yield _reference("true", row.truth)
    if row.published is not None:
        yield _reference("paper", row.published)
    if row.reason:
        yield rf"\multicolumn{{{_COLUMNS}}}{{@{{}}p{{\linewidth}}@{{}}}}{{\quad why absent: {escape(row.reason)}}} \\"


def _reference(name: str, figures: Reference) -> str:
    cells = [figures.control, figures.treatment, figures.lift, figures.remark, "", ""]
    return " & ".join([rf"\quad {name}", *(_figure(cell) for cell in cells)]) + r" \\"


def _figure(text: str) -> str:
    """Escape a cell, and set the sign of a number as one."""
    sign = text[:1] if text[:1] in "+-" else ""
    typeset = escape(text.removeprefix(sign)).replace(" to -", " to $-$")
    return (f"${sign}$" if sign else "") + typeset


def _beneath(page: Printed) -> list[str]:
    return [*(_split(split) for split in page.splits), *(escape(note) for note in page.notes)]


def _split(split: Split) -> str:
    reason = f" Why: {escape(split.reason)}." if split.reason else ""
    return rf"Split on {split.scope}: \textbf{{{split.verdict}}}. {escape(split.figures)}.{reason} {split.meaning}"
