"""Table 2 of one experiment: the table is the page."""

from __future__ import annotations

from datetime import date

import streamlit as st

from ab_platform import reporting
from ab_platform.errors import PlatformError
from ab_platform.lineage import Launch
from dashboards import choosing, frame, reading

NEWEST = "newest"
REFRESH_SECONDS = 30


def _page(url: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        launch = choosing.experiment(url, on_change=_forget_day)
        days = [day.isoformat() for day in reading.as_ofs(url, launch.experiment.key)]
        as_of = choosing.choice("as_of", "As of", [NEWEST, *days])
        published = choosing.switch("published", "The paper's figures")
    _table(url, launch, None if as_of == NEWEST else date.fromisoformat(as_of), published)


@st.fragment(run_every=REFRESH_SECONDS)
def _table(url: str, launch: Launch, as_of: date | None, published: bool) -> None:
    """Show the table, and read it again every now and then without the reader's doing."""
    try:
        readout = reading.readout(url, launch.experiment.key, as_of)
    except PlatformError as error:
        st.html(frame.notice("There is nothing to show", str(error)))
        return
    st.html(frame.standing(launch, readout.as_of))
    st.html(reporting.article(readout, published=published))


def _forget_day() -> None:
    """Go to the newest analysis, since another experiment was analysed on other days."""
    for forgotten in ("as_of", choosing.REMEMBERED + "as_of"):
        st.session_state.pop(forgotten, None)
    st.query_params.pop("as_of", None)


if __name__ == "__main__":
    frame.page(_page)
