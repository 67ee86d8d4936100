"""The formats of a report, and their text without markup."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

from ab_platform.reporting import as_html, as_latex, as_markdown, as_text, latex

Format = Callable[..., str]
FORMATS: tuple[Format, ...] = (as_text, as_markdown, as_html, as_latex)


def plain(text: str) -> str:
    """Take the markup of any format out, as a reader does, and fold the white space."""
    text = re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL)
    unmarked = unescape(re.sub(r"</?[a-z][^<>]*>", " ", text))
    for name, sign in latex._ESCAPES.items():
        unmarked = unmarked.replace(sign, name) if sign.startswith("\\text") else unmarked
    unmarked = re.sub(r"\\text(?:bf|it|sc)\{([^{}]*)\}", r"\1", unmarked).replace("**", "")
    unmarked = re.sub(r"\\([^\sA-Za-z])", r"\1", unmarked)
    return " ".join(unmarked.replace("$-$", "-").replace("$+$", "+").replace("−", "-").split())
