"""What stands around a page's figures: style, heading, how fresh they are, and what to do when there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import wraps
from html import escape
from importlib.resources import files
from typing import Literal, ParamSpec

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from ab_platform import reporting
from ab_platform.errors import PlatformError
from ab_platform.lineage import Launch
from ab_platform.reporting.figures import moment
from ab_platform.reporting.html_parts import with_commands
from ab_platform.results import Readout
from ab_platform.settings import dashboard_from_environment
from ab_platform.statistics.monitoring import MonitoringName
from dashboards.person import PERSON, current

EARLY: dict[MonitoringName, str] = {
    "fixed": "Interval and p-value are made for one look at the planned end: before it they promise too much.",
    "sequential": "Interval and p-value hold at every look, so this one may be acted on.",
    "group_sequential": "Interval and p-value hold at the planned looks, and only there.",
}
"""What a look before the planned end is worth."""

STALE_AFTER = timedelta(hours=3)
"""A running experiment whose newest event is older is told of: the roll-up runs hourly, so two may fail unseen."""

_Parameters = ParamSpec("_Parameters")


def page(lay_out: Callable[[str], None]) -> None:
    """Lay a page out, in the style of all pages; what fails is told in a sentence, with the next step.

    Args:
        lay_out: shows the page's own; given the address of the database.
    """
    if PERSON not in st.session_state:
        begin_with_the_app()
    st.html(f"<style>{stylesheet()}</style>")
    with _told():
        current()  # whatever way led here, nobody reads who was not let in
        lay_out(dashboard_from_environment().reading_url)


def begin_with_the_app() -> None:
    """Begin anew with `app.py`, where Streamlit ran it or a page otherwise than `app.py` says.

    Streamlit takes a folder named `pages` for pages that stand alone, until `app.py` has said once in this process
    which pages there are. Whoever comes first would see a page without what `app.py` does, or lose the first click.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


def live(lay_out: Callable[_Parameters, None]) -> Callable[_Parameters, None]:
    """Lay a part of a page out now, and again every now and then without the reader's doing."""

    @wraps(lay_out)
    def told(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> None:
        with _told(within=True):
            lay_out(*args, **kwargs)

    @wraps(lay_out)
    def laid_out(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> None:
        # Only here, where a page has begun, may the environment be found wrong and told of.
        st.fragment(told, run_every=dashboard_from_environment().refresh_seconds)(*args, **kwargs)

    return laid_out


@contextmanager
def _told(*, within: bool = False) -> Iterator[None]:
    """Say in a sentence what failed, with the next step."""
    try:
        yield
    except PlatformError as error:
        st.html(notice("There is nothing to show", str(error), within=within))


def stylesheet() -> str:
    """Return the rules of the page and of the reports that it shows."""
    return reporting.stylesheet() + (files("dashboards") / "style.css").read_text(encoding="utf-8")


def titled(page: str, subject: str = "") -> str:
    """Name a page as every page is named: by its title in the navigation, then by what it is about."""
    return f"{page}: {subject}" if subject else page


def heading(page: str, subtitle: str = "", *, of: str = "") -> str:
    """Say what a page is about, as its one first heading.

    Args:
        page: its title in the navigation.
        subtitle: the question that the page answers, in a sentence.
        of: the experiment, or what else it is about.
    """
    told = f"<p>{escape(subtitle)}</p>" if subtitle else ""
    return f'<header class="abp-frame heading"><h1>{escape(titled(page, of))}</h1>{told}</header>'


def standing(launch: Launch, as_of: date) -> str:
    """Say how far an experiment is, and what a look before its planned end is worth.

    Args:
        launch: the experiment and its state.
        as_of: last day that counts.
    """
    first = launch.starts_at.astimezone(UTC).date()
    # The end is exclusive, so the last planned day is the one of the moment before.
    last = (launch.ends_at.astimezone(UTC) - timedelta(microseconds=1)).date()
    day, days = (as_of - first).days + 1, (last - first).days + 1
    sentences = [f"{launch.state.capitalize()}; day {min(day, days)} of {days}, traffic {100 * launch.traffic:g} %."]
    if day < days:
        sentences.append(EARLY[launch.experiment.analysis.monitoring])
    hypothesis = launch.experiment.hypothesis
    if hypothesis:
        sentences.append(f"Hypothesis: {hypothesis}")
    return f'<div class="abp-frame"><p>{escape(" ".join(sentences))}</p></div>'


def freshness(readout: Readout, launch: Launch | None = None, *, at: datetime | None = None) -> str:
    """Say how old the figures are, and warn where a running experiment's events do not come any more.

    Args:
        readout: whose figures they are.
        launch: the experiment and its state; without it nothing is said to be stale.
        at: now; the clock's where None.
    """
    now = at or datetime.now(UTC)
    facts = (
        f"As of {readout.as_of.isoformat()}",
        f"newest event {moment(readout.watermark)}",
        f"read {now.astimezone(UTC):%H:%M:%S} UTC",
    )
    words = "".join(f"<span>{fact}</span>" for fact in facts)
    late = stale(readout, launch, at=now) if launch is not None else ""
    warned = f'<p class="stale" role="status">{with_commands(late)}</p>' if late else ""
    return f'<footer class="abp-frame fresh">{warned}<p>{words}</p></footer>'


def stale(readout: Readout, launch: Launch, *, at: datetime) -> str:
    """Say since when no event came where some should have, with the next step; empty where all is as it should be.

    What is replayed or simulated lives in its own time, and an experiment that ended gets no events.
    """
    age = at - readout.watermark
    if launch.state != "running" or at >= launch.ends_at or readout.truth_from is not None or age <= STALE_AFTER:
        return ""
    return (
        f"These figures are old: the newest event that counts is of {_hours(age)} ago, and the roll-up runs hourly. "
        f"See that events arrive and that the hourly run is well, then run `abp analyze {readout.experiment}`."
    )


def _hours(age: timedelta) -> str:
    hours = age.total_seconds() / 3600.0
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"


def notice(title: str, message: str, *, within: bool = False) -> str:
    """Say what is missing and which command comes next; words in backticks are commands.

    Args:
        title: in a few words.
        message: what is so, what is required, the next step; without its full stop.
        within: whether it stands on a page that has its heading.
    """
    sentence = with_commands(message)
    head, place = ("h2", " within") if within else ("h1", "")
    return (
        f'<div class="abp-frame notice{place}" role="status"><{head}>{escape(title)}</{head}><p>{sentence}.</p></div>'
    )


def remark(message: str, *, role: Literal["status", "alert"] = "status") -> str:
    """Say in a line what became of what a person just did; words in backticks are commands."""
    return f'<p class="abp-frame remark" role="{role}">{with_commands(message)}.</p>'
