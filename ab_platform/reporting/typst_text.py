"""Text as typst reads it: everything that comes from outside is a string in quotes, so none of it is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SIGN = re.compile(r"(?<![\w.)])-(?=\d)")
_REPLACED = "�"


def literal(text: str) -> str:
    r"""Write a text as a string of typst's code mode, in quotes.

    What cannot be printed is written by its number, and what is no character becomes U+FFFD.
    """
    return f'"{"".join(_escaped(each) for each in text)}"'


def figure(text: str) -> str:
    """Write a figure as a string, with its sign set as one."""
    return literal(_SIGN.sub("−", text))


def call(name: str, *arguments: str, **options: str) -> str:
    """Write a call of a function of typst; arguments and options are code already.

    Args:
        name: of the function.
        *arguments: by place.
        **options: by name; a name's underscore is a hyphen.
    """
    named = (f"{key.replace('_', '-')}: {value}" for key, value in options.items())
    return f"{name}({', '.join((*named, *arguments))})"


def joined(parts: Iterable[str]) -> str:
    """Write content that follows upon one another, as one block of code."""
    return "{ " + "; ".join(parts) + " }"


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if "\ud800" <= character <= "\udfff":
        return _REPLACED
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"
