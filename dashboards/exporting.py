"""What a person takes away from the page: the table in any format, and the full report; made when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import streamlit as st

from ab_platform import reporting
from ab_platform.reporting.viewing import View
from ab_platform.reporting.writing import Format, Reading, written
from ab_platform.results import Readout


@dataclass(frozen=True)
class Offer:
    """A file that can be had.

    Attributes:
        label: on its button.
        ending: of its name.
        media_type: of its bytes.
        form: how it is written; None for JSON, which is no report.
    """

    label: str
    ending: str
    media_type: str
    form: Format | None


REPORTS = (
    Offer("Report, HTML", "html", "text/html", "html"),
    Offer("Report, PDF", "pdf", "application/pdf", "pdf"),
)
TABLES = (
    Offer("PNG", "png", "image/png", "png"),
    Offer("SVG", "svg", "image/svg+xml", "svg"),
    Offer("Markdown", "md", "text/markdown", "markdown"),
    Offer("LaTeX", "tex", "application/x-tex", "latex"),
)
FIGURES = (
    Offer("CSV", "csv", "text/csv", "csv"),
    Offer("JSON", "json", "application/json", None),
)

NEEDS: dict[str, tuple[str, ...]] = {"pdf": ("typst", "vl_convert"), "png": ("typst",), "svg": ("typst",)}
"""What a format is made by, where that is not the platform itself."""


def offer(readout: Readout, view: View, course: Reading, *, published: bool) -> None:
    """Lay out what can be taken away.

    Args:
        readout: as it was decided.
        view: how the table is looked at, which is how it is taken.
        course: reads how the experiment came to it.
        published: whether the paper's own figures are shown.
    """
    make = partial(made, readout=readout, view=view, course=course, published=published)
    with st.popover("Export", key="export"):
        _group("The whole report, in one file", REPORTS, readout, make)
        _group("The table as it is shown", TABLES, readout, make)
        _group("Every stored figure, all digits", FIGURES, readout, make)


def made(offered: Offer, *, readout: Readout, view: View, course: Reading, published: bool) -> bytes:
    """Make a file; the arguments are those of `offer`.

    Raises:
        PlatformError: when a picture cannot be made.
    """
    if offered.form is None:
        return (json.dumps(reporting.as_json(readout, published=published), indent=2) + "\n").encode()
    return written(offered.form, readout, course, published=published, view=view)


def _group(title: str, offers: tuple[Offer, ...], readout: Readout, make: Callable[[Offer], bytes]) -> None:
    st.caption(title)
    with st.container(horizontal=True, gap="small"):
        for each in offers:
            _button(each, f"{readout.experiment}-{readout.as_of.isoformat()}.{each.ending}", partial(make, each))


def _button(offered: Offer, name: str, make: Callable[[], bytes]) -> None:
    lacking = [library for library in NEEDS.get(offered.ending, ()) if find_spec(library) is None]
    st.download_button(
        offered.label,
        make,
        file_name=name,
        mime=offered.media_type,
        key=f"export {offered.ending}",
        on_click="ignore",
        disabled=bool(lacking),
        help=f"{lacking[0]} is not installed: pip install 'ab-platform[dashboard]'" if lacking else None,
    )
