"""The report as plain text of a fixed width, for a terminal or a README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import wrap

from ab_platform.reporting.printed import Banner, Printed, printed
from ab_platform.reporting.printed_health import Belief
from ab_platform.reporting.printed_rows import PrintedRow, Reference, Section
from ab_platform.reporting.printed_split import Split
from ab_platform.reporting.text_segments import segment_lines
from ab_platform.reporting.wrapping import wrapped
from ab_platform.results import Readout

NARROWEST_LABEL = 20
INDENT = " "
PRIMARY = "*"
ARROW = "==> "
PRIMARY_NOTE = f"{PRIMARY} primary row: it decides."

HEADS = ("Control", "Treatment", "Lift", "", "p-value", "Verdict")
WIDTHS = (7, 9, 8, 16, 7, 20)
FIGURES_WIDTH = sum(WIDTHS) + len(WIDTHS)


@dataclass(frozen=True)
class Layout:
    """How the lines of the table are divided.

    Attributes:
        width: of the page, in characters.
        label: of the first column.
        stacked: whether a row's label stands above its figures, on a page too narrow for both in one line.
    """

    width: int
    label: int
    stacked: bool

    @classmethod
    def of(cls, width: int) -> Layout:
        """Return the layout of a page."""
        stacked = width < NARROWEST_LABEL + FIGURES_WIDTH
        return cls(width, max(len(INDENT) + len("paper"), width - FIGURES_WIDTH), stacked)


def as_text(readout: Readout, *, published: bool = False, width: int = 100) -> str:
    """Lay the report out as plain text.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
        width: characters a line may have; the columns of figures need 79.
    """
    page = printed(readout, published=published)
    blocks = (
        [page.title, *wrapped(page.lead, width)],
        [line for banner in page.banners for line in _banner(banner, width)],
        [*_split(page.split, width), *_findings(page.belief, width)],
        _table(page, Layout.of(width)),
        *(segment_lines(block, page, width) for block in page.blocks),
        wrapped(page.notes, width),
    )
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _banner(banner: Banner, width: int) -> list[str]:
    head = f"{ARROW}{banner.arm}: {banner.outcome}" + (f", {banner.days_left}" if banner.days_left else "")
    return [head, *wrapped([banner.reason], width, indent=" " * len(ARROW))]


def _split(split: Split, width: int) -> list[str]:
    if split.verdict == "trust the split":
        lines = [f"Split: {split.verdict} of {split.sound}."]
    else:
        lines = [f"Split: {split.verdict}. {split.meaning}"]
        lines += [f"  {check.scope}: {check.verdict}. {check.words}" for check in split.checks]
        lines += [f"  Trusted: {split.sound}."] if split.sound else []
    lines += [f"  Not tested: {split.untested}."] if split.untested else []
    lines += [f"  {split.mixed}"] if split.mixed else []
    return wrapped(lines, width, hanging=INDENT * 4)


def _findings(found: Belief, width: int) -> list[str]:
    lines = [f"Data: {each.name}: {each.status}. {each.words}" for each in found.findings]
    return wrapped(lines, width, hanging=INDENT * 4)


def _table(page: Printed, layout: Layout) -> list[str]:
    rule = "-" * (layout.label + FIGURES_WIDTH)
    lines = [*_heads(page, layout), rule]
    for section in page.sections:
        lines += wrap(section_title(section, page.control), layout.width)
        for group in section.groups:
            lines += [f"{INDENT}- {group.title} -"] if group.title else []
            lines += [line for row in group.rows for line in _row(row, layout)]
        lines.append(rule)
    if any(group.title for section in page.sections for group in section.groups):
        lines.append(PRIMARY_NOTE)
    return lines


def _heads(page: Printed, layout: Layout) -> list[str]:
    """Return the heads of the columns, on as many lines as the interval's label takes."""
    labels = wrapped([page.interval_label], WIDTHS[3])
    lines = [_line(["", "", "", "", label, "", ""], layout) for label in labels[:-1]]
    heads = ["Metric", *HEADS]
    heads[4] = labels[-1]
    return [*lines, _line(heads, layout)]


def section_title(section: Section, control: str) -> str:
    """Name a section with its users per arm."""
    of_control, of_treatment = section.users
    return f"{section.surface}: {section.arm} {of_treatment:,} users, {control} {of_control:,} users"


def _row(row: PrintedRow, layout: Layout) -> Iterator[str]:
    mark = PRIMARY if row.primary else INDENT
    if layout.stacked:
        yield from wrap(mark + row.label, layout.width, subsequent_indent=INDENT)
        labels = []
    else:
        first, *rest = _label_lines(row.label, layout.label - len(INDENT))
        labels = [mark + first, *(INDENT + each for each in rest)]
    yield from _figures(row, labels, layout)
    if row.truth is not None:
        yield _reference("true", row.truth, layout)
    if row.published is not None:
        yield _reference("paper", row.published, layout)
    if row.notes:
        yield from wrapped([f"({'; '.join(row.notes)})"], layout.width, indent=INDENT * 3)
    if row.reason:
        yield from wrapped([f"why absent: {row.reason}"], layout.width, indent=INDENT * 3)


def _figures(row: PrintedRow, labels: Sequence[str], layout: Layout) -> Iterator[str]:
    """Yield the lines of a row: what is too long for its column goes on in it."""
    measured = [row.control, row.treatment, row.lift, row.interval, row.p_value]
    levels = ["", f"({row.level})"] if row.level else []
    verdicts = wrapped([row.verdict], WIDTHS[-1] - len(INDENT))
    for number, (label, level, verdict) in enumerate(zip_longest(labels, levels, verdicts, fillvalue="")):
        cells = ["", "", "", level, ""] if number else measured
        yield _line([label, *cells, verdict], layout)


def _label_lines(label: str, width: int) -> list[str]:
    """Break a label that is too long before its unit, or else wherever it must."""
    measured, _, unit = label.partition(" (")
    if len(label) > width >= len(measured):
        return [measured, *wrap(f"({unit}", width)]
    return wrap(label, width)


def _reference(name: str, figures: Reference, layout: Layout) -> str:
    name = INDENT * (1 if layout.stacked else 3) + name
    return _line([name, figures.control, figures.treatment, figures.lift, figures.remark, "", ""], layout)


def _line(cells: Sequence[str], layout: Layout) -> str:
    name, *figures, verdict = cells
    columns = [f"{figure:>{size}}" for figure, size in zip(figures, WIDTHS[:-1], strict=True)]
    return " ".join([f"{name:<{layout.label}}", *columns, " " + verdict]).rstrip()
