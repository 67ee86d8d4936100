"""Sentences broken at the width of a page of plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from textwrap import wrap

_BOUND = "\u00a0"
_SIGNS = re.compile(r" %| [=<>] (?=[\d.])")


def wrapped(sentences: Iterable[str], width: int, *, indent: str = "", hanging: str | None = None) -> list[str]:
    """Break sentences, each on lines of its own; a number stays with its sign.

    Args:
        sentences: one or more.
        width: characters a line may have.
        indent: of the first line of each.
        hanging: of its other lines; the same where None.
    """
    rest = indent if hanging is None else hanging
    bound = (_SIGNS.sub(lambda sign: sign[0].replace(" ", _BOUND), sentence) for sentence in sentences)
    lines = (wrap(each, width, initial_indent=indent, subsequent_indent=rest) for each in bound)
    return [line.replace(_BOUND, " ") for each in lines for line in each]
