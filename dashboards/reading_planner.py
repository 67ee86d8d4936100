"""What the planner reads: data sets, and what analyses of experiments on them measured; not a single user."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import islice

import streamlit as st

from ab_platform.events import Surface
from ab_platform.lineage import Dataset
from ab_platform.results import LiftRow, LiftView, SampleRatioRow, SegmentRow
from ab_platform.stored_past import Analysed
from dashboards import reading

MOST_LOOKED_AT = 10
"""Newest experiments on a data set that are asked what they measured; a row that none of them has is assumed."""


@st.cache_data(ttl=reading.FRESH_SECONDS, show_spinner=False)
def datasets(url: str) -> dict[str, Dataset]:
    """Read the data sets by name.

    Raises:
        StoreError: for a database that is not there, not migrated, or away.
    """
    return {each.dataset: each for each in reading.store(url).datasets()}


def newest(url: str, dataset: str) -> Iterator[Analysed]:
    """Read the newest analyses of experiments on a data set one by one, as they are asked for.

    Raises:
        StoreError: for a database that is away.
    """
    on_it = (each for each in reading.launches(url) if each.experiment.data.dataset == dataset)
    found = ((launch, _found(url, launch.experiment.key, launch.experiment.surfaces)) for launch in on_it)
    told = (Analysed(launch, *each) for launch, each in found if each is not None)
    yield from islice(told, MOST_LOOKED_AT)


_Found = tuple[date, tuple[LiftRow, ...], tuple[LiftView, ...], tuple[SegmentRow, ...], tuple[SampleRatioRow, ...]]


@st.cache_data(ttl=reading.FRESH_SECONDS, show_spinner=False)
def _found(url: str, key: str, surfaces: tuple[Surface, ...]) -> _Found | None:
    """Read what the newest analysis of an experiment found, and the split of all; None where there is none."""
    stored = reading.store(url).readout(key)
    if stored is None:
        return None
    splits = tuple(row for scope in ("all", *surfaces) for row in reading.store(url).split_history(key, scope))
    return stored.lifts[0].as_of, stored.lifts, stored.views, stored.segments, splits
