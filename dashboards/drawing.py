"""Show charts that were drawn before: making and checking one takes a tenth of a second, reading it back none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import altair as alt
import streamlit as st

MOST_KEPT = 200
"""Charts; the one that was kept longest goes first."""

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


@st.cache_data(max_entries=MOST_KEPT, show_spinner=False)
def _drawn(_draw: Callable[[], alt.LayerChart], name: str, content: tuple[object, ...]) -> Picture:
    """Return a chart without Altair's own theme, which would come before the page's."""
    drawn: Picture = _draw().to_dict()
    drawn.pop("config", None)
    return drawn
