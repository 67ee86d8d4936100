"""Whether what the table says may be believed, and what to do where it may not."""

from __future__ import annotations

from datetime import date
from functools import partial
from html import escape

import streamlit as st

from ab_platform.lineage import Launch
from ab_platform.reporting.charts import split
from ab_platform.reporting.html_checks import alerts_article, health_article, scopes_article
from dashboards import choosing, drawing, frame, reading, reading_health

QUESTION = "May what the table says be believed? The split, the data, and the next step where something is wrong."

OVER_TIME = (
    "Left, the share of users in each treatment: dashed what its weight promises, shaded how far chance goes. "
    "Right, the evidence against the weights, which may be looked at every day."
)
ONE_DAY = "One day was analysed so far; <code>abp analyze {key} --every-day</code> adds the others."


def _page(url: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        launch = choosing.experiment(url, on_change=choosing.forget_day)
        as_of = choosing.day(url, launch.experiment.key)
    st.html(frame.heading("Health", QUESTION, of=launch.experiment.key))
    _figures(url, launch, as_of)


@frame.live
def _figures(url: str, launch: Launch, as_of: date | None) -> None:
    """Show what was found, and read it again every now and then without the reader's doing."""
    readout = reading.readout(url, launch.experiment.key, as_of)
    st.html(health_article(readout))
    _over_time(url, launch.experiment.key, readout.as_of)
    if len(readout.sample_ratios) > 1:
        st.html(scopes_article(readout))
    raised = reading_health.alerts(url, launch.experiment.key)
    if raised:
        st.html(alerts_article(raised))
    st.html(frame.freshness(readout, launch))


def _over_time(url: str, key: str, as_of: date) -> None:
    """Draw the split of all users by day, up to the day that is looked at."""
    history = [row for row in reading_health.split_history(url, key) if row.as_of <= as_of]
    told = OVER_TIME if len(history) > 1 else ONE_DAY.format(key=escape(key))
    st.html(f'<div class="abp"><h2>The split over time</h2><p class="quiet">{told}</p></div>')
    if len(history) < 2:
        return
    left, right = st.columns(2, gap="medium")
    for place, draw in ((left, split.shares), (right, split.evidence)):
        drawn = drawing.picture(partial(draw, history), draw.__name__, history)
        place.vega_lite_chart(drawn, width="stretch", key=draw.__name__)


if __name__ == "__main__":
    frame.page(_page)
