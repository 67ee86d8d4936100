"""What stands around a page's figures: its style, where an experiment stands, and what to do when there are none."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, timedelta
from html import escape

import streamlit as st

from ab_platform import reporting
from ab_platform.errors import PlatformError
from ab_platform.lineage import Launch
from ab_platform.settings import from_environment
from ab_platform.statistics.monitoring import MonitoringName

EARLY: dict[MonitoringName, str] = {
    "fixed": "Interval and p-value are made for one look at the planned end: before it they promise too much.",
    "sequential": "Interval and p-value hold at every look, so this one may be acted on.",
    "group_sequential": "Interval and p-value hold at the planned looks, and only there.",
}
"""What a look before the planned end is worth."""

PAGE_STYLE = """
.stMainBlockContainer { max-width: 78rem; padding: 4.4rem clamp(1rem, 4vw, 3rem) 4rem; }
.abp-frame { color: light-dark(#65625c, #a3a19b); font-size: 0.9rem; line-height: 1.45; max-width: 46rem; }
.abp-frame p { margin: 0; }
.abp-frame.notice { margin: 12vh auto 0; font-size: 1rem; }
.abp-frame.notice h1 { margin: 0 0 0.5rem; padding: 0; font: 600 1.6rem/1.2 "Source Serif", Georgia, serif; }
.abp-frame.notice h1 { color: light-dark(#1c1b19, #ecebe7); overflow-wrap: anywhere; }
.abp-frame code { overflow-wrap: anywhere; }
"""


def page(lay_out: Callable[[str], None]) -> None:
    """Lay a page out, in the style of all pages; what fails is told in a sentence, with the next step.

    Args:
        lay_out: shows the page's own; given the address of the database.
    """
    st.html(f"<style>{stylesheet()}</style>")
    try:
        lay_out(from_environment().database_url)
    except PlatformError as error:
        st.html(notice("There is nothing to show", str(error)))


def stylesheet() -> str:
    """Return the rules of the page and of the reports that it shows."""
    return reporting.stylesheet() + PAGE_STYLE


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


def notice(title: str, message: str) -> str:
    """Say what is missing and which command comes next; words in backticks are commands."""
    sentence = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(message, quote=False))
    return f'<div class="abp-frame notice" role="status"><h1>{escape(title)}</h1><p>{sentence}.</p></div>'
