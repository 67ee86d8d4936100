"""The report as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ab_platform.reporting.printed import Banner, Printed, printed
from ab_platform.reporting.printed_health import Belief
from ab_platform.reporting.printed_rows import PrintedRow, Reference, Section
from ab_platform.reporting.printed_segments import SegmentBlock
from ab_platform.reporting.printed_split import Split
from ab_platform.reporting.viewing import AS_DECIDED, View
from ab_platform.results import Readout

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~&$#!])")
_LEFT = ("Surface", "Metric", "Role", "Verdict", "Segment", "Day")


def as_markdown(readout: Readout, *, published: bool = False, view: View = AS_DECIDED) -> str:
    """Lay the report out as Markdown.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand in columns of their own.
        view: how the table is made.
    """
    page = printed(readout, published=published, view=view)
    blocks = (
        [f"## {escape(page.title)}"],
        [escape(sentence) for sentence in page.lead],
        *([_banner(banner)] for banner in page.banners),
        [*_split(page.split), *_findings(page.belief)],
        [f"> {escape(page.view)}"] if page.view else [],
        list(_table(page)),
        *(part for block in page.blocks for part in _segments(block, page)),
        [f"- {escape(note)}" for note in page.notes],
    )
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def escape(text: str) -> str:
    """Keep a text from being read as markup."""
    return _MARKUP.sub(r"\\\1", text)


def _banner(banner: Banner) -> str:
    left = f", {banner.days_left}" if banner.days_left else ""
    return f"> **{escape(banner.arm)}: {banner.outcome}**{left}. {escape(banner.reason)}"


def _split(split: Split) -> Iterator[str]:
    if split.verdict == "trust the split":
        yield f"- Split: **{split.verdict}** of {escape(split.sound)}."
    else:
        yield f"- Split: **{split.verdict}**. {escape(split.meaning)}"
        for check in split.checks:
            yield f"  - {escape(check.scope)}: **{check.verdict}**. {escape(check.words)}"
        if split.sound:
            yield f"  - Trusted: {escape(split.sound)}."
    if split.untested:
        yield f"  - Not tested: {escape(split.untested)}."
    if split.mixed:
        yield f"  - {split.mixed}"


def _findings(found: Belief) -> Iterator[str]:
    for each in found.findings:
        yield f"- {escape(each.name)}: **{each.status}**. {escape(each.words)}"


def _table(page: Printed) -> Iterator[str]:
    truths, published, names = page.truths, page.published, page.heads
    roles = any(group.title for section in page.sections for group in section.groups)
    heads = ["Surface", "Metric", *["Role"] * roles, names.control, names.treatment, names.effect, names.interval]
    heads += ["p-value", "Users", "Verdict", *["True lift"] * truths]
    heads += ["Paper: control", "Paper: treatment", "Paper: lift"] * published
    yield from _head(heads)
    for section in page.sections:
        for row in section.rows:
            yield _line(_cells(section, row, page.control, roles=roles, truths=truths, published=published))


def _cells(section: Section, row: PrintedRow, control: str, *, roles: bool, truths: bool, published: bool) -> list[str]:
    of_control, of_treatment = section.users
    return [
        section.surface,
        escape(row.label),
        *[_role(row)] * roles,
        *(escape(figure) for figure in (row.control, row.treatment, row.lift, _interval(row), row.p_value)),
        f"{escape(control)} {of_control:,}, {escape(section.arm)} {of_treatment:,}",
        _verdict(row),
        *[_true(row.truth)] * truths,
        *(_paper(row.published) if published else []),
    ]


def _role(row: PrintedRow) -> str:
    return f"**{row.row.role}**" if row.primary else row.row.role


def _interval(row: PrintedRow) -> str:
    return f"{row.interval} ({row.level})" if row.level else row.interval


def _verdict(row: PrintedRow) -> str:
    said = "; ".join(part for part in (row.reason, *row.notes) if part)
    return f"**{row.verdict}**" + (f": {escape(said)}" if said else "")


def _true(truth: Reference | None) -> str:
    return "" if truth is None else f"{truth.lift}, {truth.remark}"


def _paper(figures: Reference | None) -> list[str]:
    return ["", "", ""] if figures is None else [figures.control, figures.treatment, figures.lift]


def _segments(block: SegmentBlock, page: Printed) -> Iterator[list[str]]:
    yield [f"### {escape(block.title)}"]
    yield [escape(block.meaning)] if block.meaning else []
    for table in block.tables:
        yield [f"{escape(table.title)}: {escape(table.test)}." if table.test else f"{escape(table.title)}:"]
        lines = [*_head([block.head, "Users: control", "Users: treatment", "Lift", page.interval_label])]
        for each in table.segments:
            figures = [each.users_control, each.users_treatment, each.lift, each.interval]
            reason = f": {escape(each.reason)}" if each.reason else ""
            lines.append(_line([escape(each.segment) + reason, *(escape(figure) for figure in figures)]))
        yield lines


def _head(heads: Sequence[str]) -> Iterator[str]:
    yield _line(heads)
    yield _line(["---" if head in _LEFT else "---:" for head in heads])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
