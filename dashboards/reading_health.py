"""What the page Health reads beside the analysis: the split of every day, and the alerts."""

from __future__ import annotations

import streamlit as st

from ab_platform.alerts import Alert
from ab_platform.results import SampleRatioRow
from dashboards.reading import FRESH_SECONDS, store


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def split_history(url: str, key: str) -> tuple[SampleRatioRow, ...]:
    """Read the checks of the split of all users of every day that was analysed, the oldest first.

    Raises:
        StoreError: for a database that is away.
    """
    return store(url).split_history(key)


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def alerts(url: str, key: str) -> tuple[Alert, ...]:
    """Read the alerts of an experiment, also those that were cleared, the newest first.

    Raises:
        StoreError: for a database that is away.
    """
    return tuple(reversed(store(url).alerts(key)))
