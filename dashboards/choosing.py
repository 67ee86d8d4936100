"""What a page is about: the address says it, the session remembers it from page to page, and a person may choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import streamlit as st

from ab_platform.errors import NotFoundError, nearest
from ab_platform.lineage import Launch
from dashboards import reading

REMEMBERED = "remembered "
"""Before the name of what a session remembers: a widget's own key is forgotten with its page."""

NEWEST = "newest"

NOTHING_LAUNCHED = (
    "no experiment was launched yet; run `abp demo` to go the whole way once, "
    "or `abp launch experiments/pia-vs-multivae.toml`"
)


def experiment(url: str, *, on_change: Callable[[], None] | None = None) -> Launch:
    """Let an experiment be chosen; the newest that was analysed where nobody did.

    Args:
        url: of the database.
        on_change: called when a person chooses another.

    Raises:
        NotFoundError: where there is none, or the address names one that is not there.
        StoreError: for a database that is not there, not migrated, or away.
    """
    launches = {launch.experiment.key: launch for launch in reading.launches(url)}
    if not launches:
        raise NotFoundError(NOTHING_LAUNCHED)
    analysed = next((key for key in launches if reading.as_ofs(url, key)), None)
    key = choice("experiment", "Experiment", list(launches), default=analysed, on_change=on_change)
    return launches[key]


def day(url: str, key: str) -> date | None:
    """Let the day be chosen as of which an experiment is shown; None for the newest.

    Raises:
        NotFoundError: when the address names a day that was not analysed.
        StoreError: for a database that is away.
    """
    chosen = choice("as_of", "As of", [NEWEST, *(each.isoformat() for each in reading.as_ofs(url, key))])
    return None if chosen == NEWEST else date.fromisoformat(chosen)


def forget_day() -> None:
    """Go to the newest analysis, since another experiment was analysed on other days."""
    for forgotten in ("as_of", REMEMBERED + "as_of"):
        st.session_state.pop(forgotten, None)
    st.query_params.pop("as_of", None)


def choice(
    name: str,
    label: str,
    options: Sequence[str],
    *,
    default: str | None = None,
    on_change: Callable[[], None] | None = None,
) -> str:
    """Let one of a few be chosen; the address says it where it is not what is shown anyway.

    Raises:
        NotFoundError: when the address names none of them.
    """
    remembered = st.session_state.get(REMEMBERED + name)
    standing = default or options[0]
    asked = st.query_params.get(name) or (str(remembered) if remembered in options else standing)
    index = options.index(asked) if asked in options else None
    chosen = st.selectbox(label, options, index=index, key=name, placeholder="Choose", on_change=on_change, width=280)
    if chosen is None:
        raise NotFoundError(f"the link asks for {name} '{asked}', which is not here; {nearest(asked, options)}")
    # What the address says or leaves out rightly stays so: each change of it is a step for the browser's way back.
    if chosen != st.query_params.get(name, standing):
        st.query_params[name] = chosen
    st.session_state[REMEMBERED + name] = chosen
    return chosen


def switch(name: str, label: str, *, told: str | None = None) -> bool:
    """Let something be switched on; the address keeps it."""
    on = st.toggle(label, value=st.query_params.get(name) == "1", key=name, help=told)
    if on:
        st.query_params[name] = "1"
    else:
        st.query_params.pop(name, None)
    return on
