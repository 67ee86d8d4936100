"""What the pages read, kept for a few seconds so that many readers cost the database one read."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import streamlit as st

from ab_platform import analysis
from ab_platform.access import Token
from ab_platform.errors import StoreError
from ab_platform.lineage import Change, Launch
from ab_platform.results import Readout
from ab_platform.storage.store import Store, open_store
from dashboards.person import current

FRESH_SECONDS = 15
"""How old a figure on the page may be."""

SQLITE = "sqlite:///"


def launches(url: str) -> tuple[Launch, ...]:
    """Read the experiments that who is here may see, the newest first.

    Raises:
        AccessError: where nobody is signed in.
        StoreError: for a database that is not there, not migrated, or away.
    """
    person = current()
    return tuple(launch for launch in _launches(url) if person.may_see(launch.experiment.key))


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def _launches(url: str) -> tuple[Launch, ...]:
    return tuple(sorted(store(url).experiments(), key=lambda launch: launch.launched_at, reverse=True))


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def changes(url: str, key: str) -> tuple[Change, ...]:
    """Read what changed in an experiment, the oldest first.

    Raises:
        StoreError: for a database that is away.
    """
    return store(url).changes(key)


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def tokens(url: str) -> tuple[Token, ...]:
    """Read the tokens that may let somebody in.

    Raises:
        StoreError: for a database that is not there, not migrated, or away.
    """
    return store(url).tokens()


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def as_ofs(url: str, key: str) -> tuple[date, ...]:
    """Read the days as of which an experiment was analysed, the newest first.

    Raises:
        StoreError: for a database that is away.
    """
    return tuple(sorted(store(url).as_ofs(key), reverse=True))


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def readout(url: str, key: str, as_of: date | None) -> Readout:
    """Read an analysis, the newest where no day is given.

    Raises:
        NotFoundError: for an experiment or a day that is not there.
        StoreError: for a database that is away.
    """
    return analysis.readout(store(url), key, as_of=as_of)


def store(url: str) -> Store:
    """Open the store, once for all readers.

    Raises:
        StoreError: for a database that is not there, not migrated, or away.
    """
    require_file(url)
    return _opened(url)


def require_file(url: str) -> None:
    """Check that a SQLite file is there: opening would make an empty one, which others would take for a store.

    Raises:
        StoreError: where it is not.
    """
    path = Path(url.removeprefix(SQLITE))
    if url.startswith(SQLITE) and not path.exists():
        raise StoreError(f"there is no database at {path} yet; run `abp demo`, or `abp ingest` for data of your own")


@st.cache_resource(show_spinner=False)
def _opened(url: str) -> Store:
    return open_store(url, migrate=False, read_only=True)
