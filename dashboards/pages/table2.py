"""Table 2 of one experiment: the table is the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import streamlit as st

from ab_platform import reporting
from ab_platform.errors import NotFoundError, PlatformError, nearest
from ab_platform.lineage import Launch
from ab_platform.settings import from_environment
from dashboards import frame, reading

NEWEST = "newest"
REFRESH_SECONDS = 30


def table2() -> None:
    """Lay the page out."""
    st.html(f"<style>{frame.stylesheet()}</style>")
    try:
        _page(from_environment().database_url)
    except PlatformError as error:
        st.html(frame.notice("There is nothing to show", str(error)))


def _page(url: str) -> None:
    launches = {launch.experiment.key: launch for launch in reading.launches(url)}
    if not launches:
        raise NotFoundError(
            "no experiment was launched yet; run `abp demo` to go the whole way once, "
            "or `abp launch experiments/pia-vs-multivae.toml`"
        )
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        analysed = next((key for key in launches if reading.as_ofs(url, key)), None)
        key = _choice("experiment", "Experiment", list(launches), default=analysed, on_change=_forget_day)
        days = [day.isoformat() for day in reading.as_ofs(url, key)]
        as_of = _choice("as_of", "As of", [NEWEST, *days])
        published = _published()
    _table(url, launches[key], None if as_of == NEWEST else date.fromisoformat(as_of), published)


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


def _choice(
    name: str,
    label: str,
    options: Sequence[str],
    *,
    default: str | None = None,
    on_change: Callable[[], None] | None = None,
) -> str:
    """Let one of a few be chosen; the address remembers it, so that a link leads back to the same page.

    Raises:
        NotFoundError: when the address names none of them.
    """
    asked = st.query_params.get(name, default or options[0])
    index = options.index(asked) if asked in options else None
    chosen = st.selectbox(label, options, index=index, key=name, placeholder="Choose", on_change=on_change, width=280)
    if chosen is None:
        raise NotFoundError(f"the link asks for {name} '{asked}', which is not here; {nearest(asked, options)}")
    st.query_params[name] = chosen
    return chosen


def _forget_day() -> None:
    """Go to the newest analysis, since another experiment was analysed on other days."""
    st.session_state.pop("as_of", None)
    st.query_params.pop("as_of", None)


def _published() -> bool:
    """Let the paper's own figures be shown; the address remembers it."""
    shown = st.toggle("The paper's figures", value=st.query_params.get("published") == "1", key="published")
    if shown:
        st.query_params["published"] = "1"
    else:
        st.query_params.pop("published", None)
    return shown


if __name__ == "__main__":
    table2()
