"""The legend of charts as HTML: it wraps on a narrow screen, and stands once above charts that share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Literal

Form = Literal[
    "circle", "square", "triangle-up", "triangle-down", "triangle-left", "triangle-right", "diamond", "cross", "line"
]


@dataclass(frozen=True)
class Mark:
    """What a mark stands for.

    Attributes:
        words: what it stands for.
        colour: of the mark.
        form: of the mark, by its name in Vega; `line` is a line.
    """

    words: str
    colour: str
    form: Form


def key(marks: Iterable[Mark]) -> str:
    """Lay a legend out."""
    items = "".join(
        f'<li><span class="mark {each.form}" style="--mark:{each.colour}"></span>{escape(each.words)}</li>'
        for each in marks
    )
    return f'<ul class="key">{items}</ul>'
