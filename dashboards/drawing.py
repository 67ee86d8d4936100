"""Show charts that were drawn before: making one takes a while, reading it back none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal

import altair as alt
import streamlit as st
from altair.utils.schemapi import debug_mode

from ab_platform.reporting.charts.export import as_png, as_svg

MOST_KEPT = 200
"""Charts; the one that was kept longest goes first."""

Writer = Callable[[alt.LayerChart], str | bytes]
"""Makes a picture of a chart."""

FORMATS: tuple[tuple[str, str, Writer], ...] = (
    ("svg", "image/svg+xml", as_svg),
    ("png", "image/png", as_png),
)

Picture = dict[str, Any]
"""A chart as the page takes it."""


def chart(
    draw: Callable[[], alt.LayerChart],
    name: str,
    *content: object,
    width: int | Literal["stretch"] = "stretch",
    around: int | None = None,
) -> None:
    """Show a chart, drawn anew only where its content is another.

    Args:
        draw: draws it.
        name: of the chart, unlike that of any other of the page.
        content: all that it depends on, or what names that in the store with when it was written.
        width: in pixels, or as wide as there is room.
        around: pixels for axes, beside the height of the plot; None where the chart's height is all.
    """
    drawn = picture(draw, name, *content)
    height = int(drawn["height"]) + (around or 0)
    st.vega_lite_chart(spec=drawn, width=width, height=height, key=name)


def picture(draw: Callable[[], alt.LayerChart], name: str, *content: object) -> Picture:
    """Draw a chart, once for all who look at the same figures; the arguments are those of `chart`."""
    return _drawn(draw, name, content)


def files(draw: Callable[[], alt.LayerChart], name: str, *, title: str) -> None:
    """Let a chart be taken away as a picture, made when it is asked for.

    Args:
        draw: draws it.
        name: of the file, without its ending.
        title: what it shows, for who cannot see it and for several on one page.
    """
    lacking = find_spec("vl_convert") is None
    told = "vl-convert is not installed: pip install 'ab-platform[dashboard]'" if lacking else title
    with st.container(horizontal=True, gap="small"):
        for ending, media_type, made in FORMATS:
            st.download_button(
                f"Chart as {ending.upper()}",
                partial(_made, draw, made),
                file_name=f"{name}.{ending}",
                mime=media_type,
                key=f"{ending} {name}",
                help=told,
                on_click="ignore",
                disabled=lacking,
            )


def _made(draw: Callable[[], alt.LayerChart], write: Writer) -> str | bytes:
    return write(draw())


@st.cache_data(max_entries=MOST_KEPT, show_spinner=False)
def _drawn(_draw: Callable[[], alt.LayerChart], name: str, content: tuple[object, ...]) -> Picture:
    """Return a chart without Altair's own theme, which would come before the page's.

    Altair would hold each part against its schema, as the tests do, and that takes longer than all the rest.
    """
    with debug_mode(False):
        drawn: Picture = _draw().to_dict(validate=False)
    drawn.pop("config", None)
    return drawn
