"""What the page of the lift over time reads: the views of every day."""

from __future__ import annotations

import streamlit as st

from ab_platform.results import LiftView
from dashboards import reading


@st.cache_data(ttl=reading.FRESH_SECONDS, show_spinner=False)
def lift_history(url: str, key: str) -> tuple[LiftView, ...]:
    """Read the views of every day against the control, the oldest first.

    Raises:
        StoreError: for a database that is away.
    """
    return reading.store(url).lift_history(key)
