"""All experiments: state, health, days left, primary lift."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from ab_platform.errors import NotFoundError
from ab_platform.reporting.html_overview import overview, stylesheet
from ab_platform.reporting.overview import entries, matching
from dashboards import acting, choosing, frame, reading, reading_experiments
from dashboards.person import current

SEARCH, STATE, EVERY = "search", "state", "all"

STATES = (EVERY, "running", "stopped")


def _page(url: str) -> None:
    launches = reading.launches(url)
    if not launches:
        raise NotFoundError(choosing.NOTHING_LAUNCHED)
    st.html(f"<style>{stylesheet()}</style>")
    st.html(frame.heading("Experiments", "What runs, whether it may be believed, and what was found so far."))
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        words = _search()
        state = _state()
        acting.choose(launches, current())
    acting.tell()
    _listed(url, words, state)


@frame.live
def _listed(url: str, words: str, state: str) -> None:
    """List the experiments that are looked for, and read them again every now and then."""
    chosen = [launch for launch in reading.launches(url) if state in (EVERY, launch.state)]
    today = datetime.now(UTC).date()
    found, made_up = reading_experiments.of_all(url), reading_experiments.made_up(url)
    shown = matching(entries(chosen, found, made_up=made_up, today=today), words)
    if not shown:
        st.html(frame.remark(_nothing(words, state)))
        return
    st.html(overview(shown))


def _search() -> str:
    """Let words be looked for."""
    placeholder = "Key, hypothesis, arm or recommender"
    asked = st.query_params.get(SEARCH, "")
    return _kept(SEARCH, st.text_input("Search", asked, key=SEARCH, placeholder=placeholder, width=320).strip())


def _state() -> str:
    """Let a state be chosen; what the address names and is none is as if it named nothing."""
    asked = st.query_params.get(STATE, EVERY)
    index = STATES.index(asked) if asked in STATES else 0
    chosen = st.selectbox("State", STATES, index=index, key=STATE, width=160)
    _kept(STATE, "" if chosen == EVERY else chosen)
    return chosen


def _kept(name: str, value: str) -> str:
    """Keep what was chosen in the address, where it is not what is shown anyway."""
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)
    return value


def _nothing(words: str, state: str) -> str:
    of_state = "" if state == EVERY else f"{state} "
    if words:
        return f"No {of_state}experiment has '{words}' in its key, hypothesis or arms; search for less"
    return f"No experiment is {state}; choose another state"


if __name__ == "__main__":
    frame.page(_page)
