"""The report as a document of typst, which sets it as PDF, SVG or PNG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from ab_platform.reporting.bars import Axis, Bar, axis, of_row, of_segment
from ab_platform.reporting.html_parts import capital
from ab_platform.reporting.printed import SEGMENT_NOTE, Banner, Printed
from ab_platform.reporting.printed_checks import PrintedCheck
from ab_platform.reporting.printed_health import Belief
from ab_platform.reporting.printed_rows import Group, PrintedRow, Reference, Section
from ab_platform.reporting.printed_segments import PrintedSegment, SegmentBlock, SegmentTable
from ab_platform.reporting.printed_split import Split
from ab_platform.reporting.typst_text import call, figure, joined, literal

Paper = Literal["pages", "sheet"]
"""Pages of A4, or one sheet as high as what stands on it."""

SETUP: dict[Paper, str] = {
    "pages": '#set page(paper: "a4", flipped: true, margin: (x: 1.6cm, y: 1.5cm), numbering: "1 / 1")',
    "sheet": "#set page(width: 27cm, height: auto, margin: 0.8cm, fill: paper)",
}
SEGMENT_COLUMNS = 5


@dataclass(frozen=True)
class Drawing:
    """A picture with its heading and what it says.

    Attributes:
        title: its heading.
        told: what it shows, for who reads it and for who cannot see it.
        svg: the picture.
    """

    title: str
    told: str
    svg: str


def source(
    page: Printed, *, paper: Paper = "pages", checks: Sequence[PrintedCheck] = (), drawings: Sequence[Drawing] = ()
) -> str:
    """Write the document.

    Args:
        page: the report in words and figures.
        paper: what it is set on; a sheet has the table and what must be read before it, and no more.
        checks: of the data, which follow the table.
        drawings: pictures that follow the table.
    """
    whole = paper == "pages"
    parts = [
        *_above(page),
        _table(page),
        *(_segments(block, page) for block in page.blocks if whole),
        call("notes", literal(_marks(page)), *(literal(note) for note in page.notes if whole or note != SEGMENT_NOTE)),
        *([_checks(checks)] if checks and whole else []),
        *(_drawing(each) for each in drawings if whole),
    ]
    title = literal(page.title)
    head = f"#set document(title: {title}, author: (), date: none)\n#let shown = {title}"
    style = (files("ab_platform.reporting") / "style.typ").read_text(encoding="utf-8")
    return "\n".join([head, style, SETUP[paper], "#show: report", *(f"#{part}" for part in parts)]) + "\n"


def _marks(page: Printed) -> str:
    """Say what the marks of the bars are."""
    rows = [row for section in page.sections for row in section.rows]
    effect = page.heads.effect.lower()
    marks = [f"a circle is the {effect}, the line through it its interval"]
    marks += ["a diamond the true lift"] * page.truths
    marks += ["a dashed line the margin of a guardrail"] * any(row.effect.margin is not None for row in rows)
    marks += ["bars of one unit share a scale"] * (not page.relative)
    return f"Marks: {', '.join(marks)}."


def _above(page: Printed) -> Iterator[str]:
    """Yield what has to be read before any lift."""
    yield call("head", literal(page.title), literal(" ".join(page.lead)), *_word(page.belief))
    yield from _belief(page.belief)
    for banner in page.banners:
        yield _banner(banner, doubted=page.belief.status == "unhealthy" and not page.belief.decided)
    yield _split(page.split)
    if page.view:
        yield call("view", literal(page.view))


def _word(found: Belief) -> tuple[str, str]:
    return literal(found.word), literal(found.status)


def _belief(found: Belief) -> Iterator[str]:
    if found.status == "healthy" or (found.decided and found.status == "unhealthy" and not found.findings):
        return
    told = [f"{each.name}: {each.words}" for each in found.findings] or [found.reason]
    yield call("believe", literal(found.status), literal(f"{found.meaning}."), *map(literal, told))


def _banner(found: Banner, *, doubted: bool) -> str:
    return call(
        "decision",
        *(literal(text) for text in (found.arm, capital(found.outcome.lower()), found.days_left, found.reason)),
        literal("no" if doubted else found.tone),
        doubted=str(doubted).lower(),
    )


def _split(found: Split) -> str:
    trusted = found.verdict == "trust the split"
    lead = f"{found.verdict} of {found.sound}." if trusted else f"{found.verdict}. {found.meaning}"
    lines = [f"{check.scope}: {check.verdict}. {check.words}" for check in found.checks]
    lines += [f"Trusted: {found.sound}."] * (not trusted and bool(found.sound))
    lines += [f"Not tested: {found.untested}."] * bool(found.untested)
    lines += [found.mixed] * bool(found.mixed)
    status = {"trust the split": "better", "ALARM": "worse", "unknown": "unknown"}[found.verdict]
    return call("split", literal(status), literal(capital(lead)), *map(literal, lines))


def _table(page: Printed) -> str:
    rows = [row for section in page.sections for row in section.rows]
    axes = {
        name: axis([of_row(row) for row in rows if row.effect.axis == name])
        for name in dict.fromkeys(row.effect.axis for row in rows)
    }
    heads = ["Metric", page.heads.control, page.heads.treatment, page.heads.effect, page.heads.interval, "p-value"]
    heads += ["Verdict", *["True lift"] * page.truths]
    width = len(heads)
    lines = [line for section in page.sections for line in _section(section, page, axes, width)]
    return call(
        "lifts",
        *lines,
        heads=f"({', '.join(literal(head) for head in heads)},)",
        doubt=literal(f"{page.belief.meaning}." if page.belief.status == "unhealthy" else ""),
        ticks=_ticks(axes["lift"]) if "lift" in axes else "()",
    )


def _ticks(shared: Axis) -> str:
    ticks = shared.ticks()
    decimals = 0 if all(abs(round(100 * tick) - 100 * tick) < 1e-9 for tick in ticks) else 1
    labels = (figure("0" if tick == 0.0 else f"{100 * tick:+.{decimals}f} %") for tick in ticks)
    pairs = (f"({shared.position(tick):.2f}%, {label})" for tick, label in zip(ticks, labels, strict=True))
    return f"({', '.join(pairs)},)"


def _section(section: Section, page: Printed, axes: Mapping[str, Axis], width: int) -> Iterator[str]:
    of_control, of_treatment = section.users
    users = f"{page.control} {of_control:,} users, {section.arm} {of_treatment:,} users"
    yield call("surface", str(width), literal(section.surface), literal(users))
    for group in section.groups:
        yield from _group(group, page, axes, width)


def _group(group: Group, page: Printed, axes: Mapping[str, Axis], width: int) -> Iterator[str]:
    if group.title:
        yield call("role", str(width), literal(group.title))
    for row in group.rows:
        yield from _row(row, axes[row.effect.axis], width, truths=page.truths)


def _row(row: PrintedRow, shared: Axis, width: int, *, truths: bool) -> Iterator[str]:
    details = (row.counts_label, *(each for each in (row.saved, row.cap) if each))
    interval = f"{row.interval} ({row.level})" if row.level else row.interval
    yield call("metric", literal(row.label), *map(literal, details), primary=str(row.primary).lower())
    yield call("cell", figure(row.control), literal(row.counts_control))
    yield call("cell", figure(row.treatment), literal(row.counts_treatment))
    yield call("effect", figure(row.lift))
    yield call("range", _bar(of_row(row), shared), figure(interval))
    yield call("cell", figure(row.p_value), literal(""))
    yield call("verdict", literal(row.tone), figure(row.verdict), literal(row.detectable))
    if truths:
        yield call("cell", *_true(row.truth))
    if row.published is not None:
        yield from _published(row.published, width)
    if row.reason:
        yield call("why", str(width), literal(f"Why absent: {row.reason}"))


def _true(truth: Reference | None) -> tuple[str, str]:
    return (figure(truth.lift), literal(truth.remark)) if truth is not None else (literal(""), literal(""))


def _published(figures: Reference, width: int) -> Iterator[str]:
    yield call("aside", literal("in the paper"))
    for text in (figures.control, figures.treatment, figures.lift):
        yield call("aside", figure(text), right="true")
    yield call("blank", str(width - 4))


def _bar(bar: Bar, shared: Axis) -> str:
    def place(number: float | None) -> str:
        return "none" if number is None else f"{shared.position(number):.2f}%"

    cuts = [bar.low is not None and bar.low < shared.low, bar.high is not None and bar.high > shared.high]
    return call(
        "bar",
        *(place(number) for number in (0.0, bar.low, bar.high, bar.lift)),
        tone=literal(bar.tone),
        margin=place(bar.margin),
        truth=place(bar.true_lift),
        cuts=f"({', '.join(str(cut).lower() for cut in cuts)})",
    )


def _segments(block: SegmentBlock, page: Printed) -> str:
    shared = axis([of_segment(each) for table in block.tables for each in table.segments])
    tables = (_segment_table(table, block, page, shared) for table in block.tables)
    return call("segments", literal(block.title), literal(block.meaning), *tables)


def _segment_table(table: SegmentTable, block: SegmentBlock, page: Printed, shared: Axis) -> str:
    heads = [block.head, f"{page.heads.control} users", f"{page.heads.treatment} users", "Lift", page.heads.interval]
    cells = [cell for each in table.segments for cell in _segment(each, shared)]
    test = f"{capital(table.test)}." if table.test else ""
    return call(
        "by-segment",
        literal(table.title),
        literal(test),
        *cells,
        heads=f"({', '.join(literal(head) for head in heads)},)",
        differs=str(table.found == "differs").lower(),
    )


def _segment(each: PrintedSegment, shared: Axis) -> Iterator[str]:
    yield literal(each.segment)
    yield from (figure(text) for text in (each.users_control, each.users_treatment, each.lift))
    yield call("range", _bar(of_segment(each), shared), figure(each.interval))
    if each.reason:
        yield call("why", str(SEGMENT_COLUMNS), literal(f"Why absent: {each.reason}"))


def _checks(checks: Sequence[PrintedCheck]) -> str:
    cells = (
        cell
        for each in checks
        for cell in (
            literal(f"{each.label}, {each.scope}" if each.scope else each.label),
            call("state-of", literal(each.status)),
            figure(f"{each.told}. Next: {each.next_step}." if each.next_step else f"{each.told}."),
        )
    )
    return call("checks", *cells)


def _drawing(each: Drawing) -> str:
    picture = call("image", call("bytes", literal(each.svg)), format='"svg"', alt=literal(each.told), width="82%")
    return call("drawing", literal(each.title), figure(each.told), joined([picture]))
