"""What people do to a running experiment from the dashboard: change its traffic, stop it; and what was done to it.

Each asks once more before it is done, goes through the same steps as `abp ramp` and `abp stop`, and stands in the
experiment's change log under the name of who did it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import streamlit as st

from ab_platform.conduct import by_hand
from ab_platform.conduct.steps import steps_of
from ab_platform.errors import AccessError, PlatformError
from ab_platform.lineage import Launch
from ab_platform.reporting.change_log import change_log, share
from ab_platform.reporting.html_overview import stylesheet
from ab_platform.settings import dashboard_from_environment, from_environment
from ab_platform.storage.store import Store, open_store
from dashboards import frame, reading, signing_in
from dashboards.person import Person

DONE = "done"
"""Where the session keeps what was just done, for the page that comes next."""

MOST_CHARACTERS = 500
"""Of a reason."""


class Act(Protocol):
    """Something that is done to one experiment."""

    def __call__(self, store: Store, /, *, now: datetime, reason: str) -> bool:
        """Do it; return whether anything changed."""


def actions(launch: Launch, person: Person) -> None:
    """Lay out what may be done to an experiment, and what was done.

    Args:
        launch: the experiment and its state.
        person: who is there.
    """
    tell()
    buttons(launch, person)
    log(launch)


def tell() -> None:
    """Say once what was just done."""
    if DONE in st.session_state:
        st.html(frame.remark(st.session_state.pop(DONE)))


def buttons(launch: Launch, person: Person) -> None:
    """Lay out the buttons of a running experiment, or say why there are none."""
    why_not = _why_not(launch, person)
    if why_not:
        st.caption(why_not)
        return
    key = launch.experiment.key
    with st.container(horizontal=True, key=f"act on {key}"):
        if st.button("Change traffic…", key=f"ramp {key}"):
            st.dialog(f"Change the traffic of {key}")(ramping)(launch)
        if st.button("Stop…", key=f"stop {key}"):
            st.dialog(f"Stop {key}")(stopping)(launch)


def choose(launches: Sequence[Launch], person: Person) -> None:
    """Lay out a button that lets one of the running experiments be acted on; nothing where none may be."""
    running = {launch.experiment.key: launch for launch in launches if launch.state == "running"}
    if running and person.may_act and st.button("Act…", key="act"):
        st.dialog("Act on an experiment")(_chosen)(running)


def _chosen(running: Mapping[str, Launch]) -> None:
    key = st.selectbox("Running experiment", list(running), key="act on")
    ways = {"Change its traffic": ramping, "Stop it": stopping}
    way = st.radio("What to do", list(ways), horizontal=True, key="way to act")
    ways[way](running[key])


def log(launch: Launch) -> None:
    """Lay out what was done to an experiment, folded away."""
    key = launch.experiment.key
    st.html(f"<style>{stylesheet()}</style>")
    with st.expander("What was done"):
        st.html(change_log(reading.changes(dashboard_from_environment().reading_url, key), key))


def _why_not(launch: Launch, person: Person) -> str:
    if launch.state == "stopped":
        return "It is stopped for good. To go on, launch it under a new key."
    if not person.may_act:
        return "You may look, not act: ask an operator to stop it or to change its traffic."
    return ""


def stopping(launch: Launch) -> None:
    """Say what a stop does, and stop the experiment once its key and a reason are typed."""
    key = launch.experiment.key
    st.markdown(
        "- Everybody gets the control from now on, and its share of the users is free for others.\n"
        "- What users do from now on does not count. What they did so far stays, and so do its results.\n"
        "- **This cannot be undone.** To go on, it has to be launched under a new key, with new users."
    )
    with st.form("stop", border=False):
        reason = st.text_input("Why, for the change log", max_chars=MOST_CHARACTERS)
        typed = st.text_input(f"Type {key} to confirm", autocomplete="off").strip()
        sent = st.form_submit_button("Stop it for good", type="primary", key="stop for good")
    if sent:
        wrong = "" if typed == key else f"What was typed is '{typed}'; to stop it, type {key}. Nothing was done"
        _act(launch, reason, partial(by_hand.stop, key=key), done="is stopped", wrong=wrong)


def ramping(launch: Launch) -> None:
    """Say what a change of the traffic does, and change it once a reason is given."""
    key = launch.experiment.key
    st.markdown(
        f"{share(launch.traffic)} of its users are in now.{_planned(launch)}\n\n"
        "- Nobody changes arm, upwards or downwards.\n"
        "- Upwards, more users are let in. Who has seen an arm cannot be made to forget it.\n"
        "- Downwards, who leaves gets the control and counts no further; what they did so far counts."
    )
    with st.form("ramp", border=False):
        now = round(100 * launch.traffic, 6)
        percent = st.number_input("Share of its users who are in, %", 0.0, 100.0, now, 5.0, format="%.6g")
        reason = st.text_input("Why, for the change log", max_chars=MOST_CHARACTERS)
        sent = st.form_submit_button("Change the traffic", type="primary")
    if sent:
        traffic = round(percent / 100, 8)
        wrong = f"The traffic is {share(traffic)} already; nothing was done" if percent == now else ""
        act = partial(by_hand.ramp, key=key, traffic=traffic)
        _act(launch, reason, act, done=f"has a traffic of {share(traffic)}", wrong=wrong)


def _planned(launch: Launch) -> str:
    """Say what its own ramp will do, which asks a gate before each step, as a change by hand does not."""
    steps = steps_of(launch)
    if len(steps) == 1:
        return ""
    listed = ", ".join(f"{share(step.traffic)} from {step.since:%Y-%m-%d}" for step in steps)
    return f" Its own ramp is {listed}, with a gate before each step; a change by hand asks none."


def _act(launch: Launch, reason: str, act: Act, *, done: str, wrong: str) -> None:
    """Do it once, and show the page as it is then; or say why it was not done."""
    told = wrong or _refused(launch.experiment.key, reason, act, done=done)
    if told:
        st.html(frame.remark(told, role="alert"))
        return
    st.cache_data.clear()
    st.rerun()


def _refused(key: str, reason: str, act: Act, *, done: str) -> str:
    """Do it under the name of who is there now; return why it was not done, else nothing."""
    if not reason.strip():
        return "The reason is empty; say in a few words why, for who reads the change log. Nothing was done"
    try:
        person = _operator(key)
        with _writing() as store:
            why = f"by {person.name} on the dashboard: {' '.join(reason.split())}"
            changed = act(store, now=datetime.now(UTC), reason=why)
    except PlatformError as error:
        return f"{str(error)[:1].upper()}{str(error)[1:]}"
    st.session_state[DONE] = f"{key} {done}" if changed else f"{key} {done}, as it was before"
    return ""


def _operator(key: str) -> Person:
    """Return who is there, if they may still act: a page may stand open for long.

    Raises:
        AccessError: where they may not, any more.
    """
    person = signing_in.confirmed()
    if not (person.may_act and person.may_see(key)):
        raise AccessError(f"{person.name} may not act on {key}; ask an operator. Nothing was done")
    return person


@contextmanager
def _writing() -> Iterator[Store]:
    """Open the platform's own database for one change: what the pages read from cannot be written to."""
    url = from_environment().database_url
    reading.require_file(url)
    opened = open_store(url, migrate=False)
    try:
        yield opened
    finally:
        opened.close()
