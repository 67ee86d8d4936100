"""The table as plain text of a fixed width, for a terminal or a README."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from ab_platform.reporting.printed import Printed, PrintedRow, Reference, Section, Split, printed
from ab_platform.results import Readout

NARROWEST_LABEL = 20
INDENT = " "

HEADS = ("Control", "Treatment", "Lift", "", "p-value", "Verdict")
WIDTHS = (7, 9, 8, 16, 7, 20)


def as_text(readout: Readout, *, published: bool = False, width: int = 100) -> str:
    """Lay the table out as plain text.

    Args:
        readout: of one experiment as of one day.
        published: whether the paper's own figures stand beneath each row.
        width: characters a line may have; the columns of figures need about 95.
    """
    page = printed(readout, published=published)
    label = max(NARROWEST_LABEL, width - _figures_width())
    blocks = (
        [page.title, *_wrapped(page.lead, width)],
        [line for split in page.splits for line in _split_lines(split, width)],
        _table(page, label, width),
        _wrapped(page.notes, width),
    )
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _table(page: Printed, label: int, width: int) -> list[str]:
    heads = ["Metric", *HEADS]
    heads[4] = page.interval_label
    rule = "-" * (label + _figures_width())
    lines = [_line(heads, label), rule]
    for section in page.sections:
        lines += wrap(section_title(section, page.control), width)
        lines += [line for row in section.rows for line in _row_lines(row, label, width)]
        lines.append(rule)
    return lines


def section_title(section: Section, control: str) -> str:
    """Name a section with its users per arm."""
    of_control, of_treatment = section.users
    return f"{section.surface}: {section.arm} {of_treatment:,} users, {control} {of_control:,} users"


def _row_lines(row: PrintedRow, label: int, width: int) -> Iterator[str]:
    first, *rest = _label_lines(row.label, label - len(INDENT))
    yield _line([INDENT + first, row.control, row.treatment, row.lift, row.interval, row.p_value, row.verdict], label)
    yield from (INDENT + each for each in rest)
    if row.truth is not None:
        yield _reference("true", row.truth, label)
    if row.published is not None:
        yield _reference("paper", row.published, label)
    if row.reason:
        yield from wrap(f"why absent: {row.reason}", width, initial_indent=INDENT * 3, subsequent_indent=INDENT * 3)


def _label_lines(label: str, width: int) -> list[str]:
    """Break a label that is too long before its unit, then wherever it must."""
    parts = [label] if len(label) <= width else label.replace(" (", "\n(", 1).split("\n")
    return [line for part in parts for line in wrap(part, width)]


def _reference(name: str, figures: Reference, label: int) -> str:
    return _line([INDENT * 3 + name, figures.control, figures.treatment, figures.lift, figures.remark, "", ""], label)


def _line(cells: list[str], label: int) -> str:
    name, *figures, verdict = cells
    columns = [f"{figure:>{size}}" for figure, size in zip(figures, WIDTHS[:-1], strict=True)]
    return " ".join([f"{name:<{label}}", *columns, " " + verdict]).rstrip()


def _figures_width() -> int:
    return sum(WIDTHS) + len(WIDTHS)


def _split_lines(split: Split, width: int) -> list[str]:
    sentence = f"Split on {split.scope}: {split.verdict}. {split.figures}."
    words = [
        sentence,
        split.reason and f"Why: {split.reason}.",
        "" if split.verdict == "trust the split" else split.meaning,
    ]
    return wrap(" ".join(word for word in words if word), width, subsequent_indent="  ")


def _wrapped(sentences: tuple[str, ...], width: int) -> list[str]:
    return [line for sentence in sentences for line in wrap(sentence, width)]
