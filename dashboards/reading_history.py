"""What the pages of charts read: the views of every day, and pictures that need not be made anew at each rerun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import streamlit as st

from ab_platform.results import LiftView
from dashboards import reading

Picture = dict[str, Any]


@st.cache_data(ttl=reading.FRESH_SECONDS, show_spinner=False)
def lift_history(url: str, key: str) -> tuple[LiftView, ...]:
    """Read the views of every day against the control, the oldest first.

    Raises:
        StoreError: for a database that is away.
    """
    return reading.store(url).lift_history(key)


@st.cache_data(max_entries=200, show_spinner=False)
def picture(shown: object, _draw: Callable[[], alt.LayerChart]) -> Picture:
    """Make a picture once for all who look at the same figures: that takes longer than to show them.

    Args:
        shown: all that the picture depends on.
        _draw: makes it.
    """
    return _draw().to_dict(validate=False)
