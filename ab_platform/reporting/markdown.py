"""The table as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ab_platform.reporting.printed import Printed, PrintedRow, Reference, Section, Split, printed
from ab_platform.results import Readout

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~&$#!])")


def as_markdown(readout: Readout, *, published: bool = False) -> str:
    """Lay the table out as Markdown.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand in columns of their own.
    """
    page = printed(readout, published=published)
    blocks = (
        [f"## {escape(page.title)}"],
        [escape(sentence) for sentence in page.lead],
        [f"- {_split(split)}" for split in page.splits],
        list(_table(page, truths=bool(readout.truths), published=published)),
        [f"- {escape(note)}" for note in page.notes],
    )
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def escape(text: str) -> str:
    """Keep a text from being read as markup."""
    return _MARKUP.sub(r"\\\1", text)


def _split(split: Split) -> str:
    reason = f" Why: {escape(split.reason)}." if split.reason else ""
    return f"Split on {split.scope}: **{split.verdict}**. {escape(split.figures)}.{reason} {split.meaning}"


def _table(page: Printed, *, truths: bool, published: bool) -> Iterator[str]:
    heads = ["Surface", "Metric", "Control", "Treatment", "Lift", page.interval_label, "p-value", "Users", "Verdict"]
    heads += ["True lift"] * truths + ["Paper: control", "Paper: treatment", "Paper: lift"] * published
    yield _line(heads)
    yield _line(["---" if head in ("Surface", "Metric", "Verdict") else "---:" for head in heads])
    for section in page.sections:
        for row in section.rows:
            yield _line(_cells(section, row, page.control, truths=truths, published=published))


def _cells(section: Section, row: PrintedRow, control: str, *, truths: bool, published: bool) -> list[str]:
    of_control, of_treatment = section.users
    users = f"{escape(control)} {of_control:,}, {escape(section.arm)} {of_treatment:,}"
    verdict = f"**{row.verdict}**" + (f": {escape(row.reason)}" if row.reason else "")
    measured = [row.control, row.treatment, row.lift, row.interval, row.p_value]
    return [
        section.surface,
        row.label,
        *(escape(figure) for figure in measured),
        users,
        verdict,
        *([_true(row.truth)] if truths else []),
        *(_paper(row.published) if published else []),
    ]


def _true(truth: Reference | None) -> str:
    return "" if truth is None else f"{truth.lift}, {truth.remark}"


def _paper(figures: Reference | None) -> list[str]:
    return ["", "", ""] if figures is None else [figures.control, figures.treatment, figures.lift]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
