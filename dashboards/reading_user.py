"""What the page of a user reads: one user's rows, found by indexes, and kept only shortly."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import streamlit as st

from ab_platform.storage.store import Whose
from ab_platform.user_story import UserStory
from dashboards import reading

SLATES = 50
"""On one page."""

MOST_KEPT = 50
"""Readings of users that are kept at a time."""


@st.cache_data(ttl=reading.FRESH_SECONDS, max_entries=MOST_KEPT, show_spinner=False)
def story(url: str, whose: Whose, page: int) -> UserStory:
    """Read a page of a user's slates and what else is stored of them, pages counted from 1.

    Raises:
        StoreError: for a database that is away.
    """
    return reading.store(url).user_story(whose, skip=SLATES * (page - 1), count=SLATES)


@st.cache_data(ttl=reading.FRESH_SECONDS, max_entries=MOST_KEPT, show_spinner=False)
def first_exposures(url: str, user_id: str, experiments: tuple[str, ...]) -> Mapping[str, datetime]:
    """Read since when a user counts in some experiments.

    Raises:
        StoreError: for a database that is away.
    """
    return reading.store(url).first_exposures(user_id, experiments)
