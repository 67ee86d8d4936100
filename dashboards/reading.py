"""What the pages read, kept for a few seconds so that many readers cost the database one read."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import streamlit as st

from ab_platform import analysis
from ab_platform.errors import StoreError
from ab_platform.lineage import Launch
from ab_platform.results import Readout
from ab_platform.storage.store import Store, open_store

FRESH_SECONDS = 15
"""How old a figure on the page may be."""

SQLITE = "sqlite:///"


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def launches(url: str) -> tuple[Launch, ...]:
    """Read the experiments, the newest first.

    Raises:
        StoreError: for a database that is not there, not migrated, or away.
    """
    return tuple(sorted(_store(url).experiments(), key=lambda launch: launch.launched_at, reverse=True))


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def as_ofs(url: str, key: str) -> tuple[date, ...]:
    """Read the days as of which an experiment was analysed, the newest first.

    Raises:
        StoreError: for a database that is away.
    """
    return tuple(sorted(_store(url).as_ofs(key), reverse=True))


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def readout(url: str, key: str, as_of: date | None) -> Readout:
    """Read an analysis, the newest where no day is given.

    Raises:
        NotFoundError: for an experiment or a day that is not there.
        StoreError: for a database that is away.
    """
    return analysis.readout(_store(url), key, as_of=as_of)


def _store(url: str) -> Store:
    path = Path(url.removeprefix(SQLITE))
    if url.startswith(SQLITE) and not path.exists():
        # Opening would make an empty file, which the command line would then take for a store to be migrated.
        raise StoreError(f"there is no database at {path} yet; run `abp demo`, or `abp ingest` for data of your own")
    return _opened(url)


@st.cache_resource(show_spinner=False)
def _opened(url: str) -> Store:
    return open_store(url, migrate=False)
