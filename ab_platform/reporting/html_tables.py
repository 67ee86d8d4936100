"""Small tables as HTML: figures to the right, a note beneath a figure, and on a narrow screen a card a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from ab_platform.reporting.html_parts import figure
from ab_platform.reporting.verdict import Tone


@dataclass(frozen=True)
class Column:
    """What stands beneath a head.

    Attributes:
        head: its words.
        told: the definition, shown where the pointer rests.
        detail: a quieter line beneath the head.
        words: whether it holds words, which stand to the left; figures stand to the right.
        wide: whether its cells take two places on a narrow screen.
    """

    head: str
    told: str = ""
    detail: str = ""
    words: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        text: the figure.
        detail: a quieter line beneath it.
        tone: what the colour says, with a sign beside it for who does not see colours; None says nothing.
    """

    text: str
    detail: str = ""
    tone: Tone | None = None


Row = tuple[Cell, ...]


def table(name: str, columns: Sequence[Column], rows: Sequence[Row], *, across: int = 3) -> str:
    """Lay a table out; the first column names the rows.

    Args:
        name: of the table, for who cannot see what stands above it.
        columns: their heads.
        rows: a cell a column.
        across: how many cells stand side by side on a narrow screen.
    """
    heads = "".join(map(_head, columns))
    body = "\n".join(_row(columns, row) for row in rows)
    return (
        f'<table class="plain" role="table" aria-label="{escape(name)}" style="--across:{across}">\n'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{body}\n</tbody>\n</table>\n'
    )


def stylesheet() -> str:
    """Return the rules that `table` and the lineage are drawn with, beside those of the reports."""
    return (files("ab_platform.reporting") / "plain.css").read_text(encoding="utf-8")


def _head(column: Column) -> str:
    head = escape(column.head)
    named = f'<abbr title="{escape(column.told)}">{head}</abbr>' if column.told else head
    detail = f"<small>{escape(column.detail)}</small>" if column.detail else ""
    return f'<th role="columnheader" scope="col" class="{_side(column)}">{named}{detail}</th>'


def _row(columns: Sequence[Column], row: Row) -> str:
    first, *others = row
    cells = "".join(_cell(column, cell) for column, cell in zip(columns[1:], others, strict=True))
    return f'<tr role="row"><th role="rowheader" scope="row" class="name">{_inside(first)}</th>{cells}</tr>'


def _cell(column: Column, cell: Cell) -> str:
    label = escape(f"{column.head}, {column.detail}" if column.detail else column.head)
    return f'<td role="cell" class="{_side(column)}" data-label="{label}">{_inside(cell)}</td>'


def _inside(cell: Cell) -> str:
    text = figure(cell.text) if cell.tone is None else f'<span class="tone {cell.tone}">{figure(cell.text)}</span>'
    return f"{text}<small>{figure(cell.detail)}</small>" if cell.detail else text


def _side(column: Column) -> str:
    side = "words" if column.words else "figures"
    return f"{side} wide" if column.wide else side
