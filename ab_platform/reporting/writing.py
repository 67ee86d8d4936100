"""The report as a file: one name a format, for the command line and for the dashboard's downloads."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal, get_args

from ab_platform.reporting.course import Course
from ab_platform.reporting.html import as_html
from ab_platform.reporting.latex import as_latex
from ab_platform.reporting.markdown import as_markdown
from ab_platform.reporting.pdf import typeset
from ab_platform.reporting.printed import printed
from ab_platform.reporting.rows_csv import as_csv
from ab_platform.reporting.text import as_text
from ab_platform.reporting.typst_source import source
from ab_platform.reporting.viewing import AS_DECIDED, View
from ab_platform.results import Readout

Format = Literal["text", "markdown", "html", "latex", "csv", "svg", "png", "pdf"]

FORMATS: tuple[Format, ...] = get_args(Format)
BINARY: frozenset[Format] = frozenset({"png", "pdf"})
"""What no terminal can show."""
FULL: frozenset[Format] = frozenset({"html", "pdf"})
"""What shows more than the table, and so wants to know how the experiment came to it."""

Reading = Callable[[], Course]


def drawable() -> bool:
    """Tell whether what draws the pictures of the HTML report is installed."""
    return find_spec("altair") is not None and find_spec("vl_convert") is not None


def written(
    form: Format, readout: Readout, course: Reading, *, published: bool = False, view: View = AS_DECIDED
) -> bytes:
    """Write a report.

    Args:
        form: of the file; HTML has no pictures where nothing is installed that draws them.
        readout: of one experiment as of one day.
        course: reads how it came to it; called only where the format shows that.
        published: whether the paper's own figures stand beside.
        view: how the table is made; the CSV has all of them, and the text none but the decided one.

    Raises:
        PlatformError: when the picture cannot be made.
    """
    if form == "html" and not drawable():
        return as_html(readout, published=published, view=view).encode()
    if form in FULL:
        from ab_platform.reporting.full import full_html, full_source  # what draws is an extra, and slow to come

        if form == "html":
            return full_html(readout, course(), published=published, view=view).encode()
        return typeset(full_source(readout, course(), published=published, view=view), "pdf")
    if form in ("svg", "png"):
        return typeset(source(printed(readout, published=published, view=view), paper="sheet"), form)
    return _text(form, readout, published=published, view=view).encode()


def _text(form: Format, readout: Readout, *, published: bool, view: View) -> str:
    if form == "markdown":
        return as_markdown(readout, published=published, view=view)
    if form == "latex":
        return as_latex(readout, published=published, view=view)
    return as_csv(readout) if form == "csv" else as_text(readout, published=published)
