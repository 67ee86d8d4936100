"""Table 2 of one experiment: what was decided, whether to believe it, and the lifts; the table is the page."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import streamlit as st

from ab_platform.lineage import Launch
from ab_platform.reporting.course import Course
from ab_platform.reporting.html import article_body, article_head
from ab_platform.reporting.printed import printed
from dashboards import acting, choosing, exporting, frame, reading, views
from dashboards.person import current


def _page(url: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        launch = choosing.experiment(url, on_change=_forget)
        as_of = choosing.day(url, launch.experiment.key)
    _shown(url, launch.experiment.key, as_of)
    acting.actions(launch, current())


@frame.live
def _shown(url: str, key: str, as_of: date | None) -> None:
    """Show the decision and the table, and read them again every now and then without the reader's doing."""
    launch = next(each for each in reading.launches(url) if each.experiment.key == key)
    readout = reading.readout(url, key, as_of)
    st.html(frame.standing(launch, readout.as_of))
    page = printed(readout)
    st.html(article_head(replace(page, title=frame.titled("Results", page.title))))
    with st.container(horizontal=True, vertical_alignment="bottom", key="options"):
        view = views.chosen(readout)
        published = choosing.switch("published", "The paper's figures")
        exporting.offer(readout, view, lambda: _course(url, launch), published=published)
    in_vain = views.refused(readout)
    if in_vain:
        st.html(frame.remark(in_vain))
    st.html(article_body(printed(readout, published=published, view=view)))
    st.html(frame.freshness(readout, launch))


def _course(url: str, launch: Launch) -> Course:
    key = launch.experiment.key
    return Course(launch, reading.changes(url, key), reading.store(url).lift_history(key))


def _forget() -> None:
    """Begin anew: another experiment was analysed on other days, and has another rule."""
    choosing.forget_day()
    views.forget()


if __name__ == "__main__":
    frame.page(_page)
