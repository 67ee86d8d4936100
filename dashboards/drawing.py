"""Show charts that were drawn before: making and checking one takes a tenth of a second, reading it back none."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal

import altair as alt
import streamlit as st

MOST_KEPT = 200
"""Charts; the one that was kept longest goes first."""


def chart(
    draw: Callable[[], alt.LayerChart],
    name: str,
    *content: Hashable,
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
    spec = _drawn(draw, name, content)
    height = int(spec["height"]) + (around or 0)
    st.vega_lite_chart(spec=spec, width=width, height=height, key=name)


@st.cache_data(max_entries=MOST_KEPT, show_spinner=False)
def _drawn(_draw: Callable[[], alt.LayerChart], name: str, content: tuple[Hashable, ...]) -> dict[str, Any]:
    """Return a chart as the page takes it, without Altair's own theme, which would come before the page's."""
    drawn: dict[str, Any] = _draw().to_dict()
    drawn.pop("config", None)
    return drawn
