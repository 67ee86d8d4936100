"""What the list of all experiments reads: a few queries over stored results, whatever the number of users."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from ab_platform.reporting.overview import Found, found
from dashboards import reading


@st.cache_data(ttl=reading.FRESH_SECONDS, show_spinner=False)
def of_all(url: str) -> Mapping[str, Found]:
    """Read what the newest analysis of each experiment found, by its key; nothing for one that was not analysed.

    Raises:
        StoreError: for a database that is not there, not migrated, or away.
    """
    store = reading.store(url)
    return found(
        store.headlines(),
        decisions=store.newest_decisions(),
        sample_ratios=store.newest_sample_ratios(),
        checks=store.newest_checks(),
    )


@st.cache_data(ttl=reading.FRESH_SECONDS, show_spinner=False)
def made_up(url: str) -> frozenset[str]:
    """Read which experiments live on a calendar of their own: their visits are replayed or simulated."""
    return reading.store(url).made_up_experiments()
