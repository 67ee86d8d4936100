"""One user: where they fall, what they were shown and did, and in which other experiments they are."""

from __future__ import annotations

from html import escape

import streamlit as st

from ab_platform.lineage import Launch
from ab_platform.pseudonym import Pseudonyms
from ab_platform.reporting.memberships import memberships
from ab_platform.reporting.placement import Place, picture, place
from ab_platform.reporting.user_timeline import remarked, remarks, since, timeline
from ab_platform.settings import from_environment
from ab_platform.storage.store import Whose
from ab_platform.user_story import UserStory
from dashboards import asking, choosing, frame, reading, reading_planner, reading_user

QUESTION = "Which arm does a user get and why, and what were they shown?"


def _page(url: str) -> None:
    known = Pseudonyms(from_environment().user_id_key)
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        launch = choosing.experiment(url, on_change=_newest)
        user_id = asking.user(known)
    st.html(frame.heading("A user", QUESTION, of=user_id or ""))
    dataset = reading_planner.datasets(url).get(launch.experiment.data.dataset)
    if dataset is not None:
        known.require(dataset.content_hash, dataset.dataset)
    if user_id is None:
        st.html(_said("Type the id of a user, such as one from a complaint or from a log."))
        return
    _show(url, launch, user_id, pseudonym=known.key is not None)


def _show(url: str, launch: Launch, user_id: str, *, pseudonym: bool) -> None:
    where = place(launch.experiment, user_id, traffic=launch.traffic)
    whose = Whose(launch.experiment.key, launch.experiment.data.dataset, user_id)
    page = _asked_page()
    story = reading_user.story(url, whose, page)
    if pseudonym:
        st.html(_said(f"Known by the pseudonym {user_id}."))
    st.html(remarked(remarks(story, launch, where)) + picture(where) + _said(since(story)))
    _slates(story, launch, page)
    _others(url, launch, user_id)


def _slates(story: UserStory, launch: Launch, page: int) -> None:
    pages = max(1, -(-story.slates_in_all // reading_user.SLATES))
    if story.slates_in_all == 0:
        if launch.events_deleted_at is None and story.exposures:
            st.html(_said("No slate is stored: the user was reported as exposed by a client that renders its own."))
        return
    told = timeline(story, first=reading_user.SLATES * (page - 1) + 1)
    st.html(told or _said(f"There is no page {page:,}; the last is page {pages:,}."))
    if pages > 1:
        _turning(page, pages)


def _turning(page: int, pages: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="paging"):
        st.button("Newer", disabled=page == 1, on_click=_turn, args=(min(page - 1, pages),))
        st.html(_said(f"Page {min(page, pages):,} of {pages:,}"), width="content")
        st.button("Older", disabled=page >= pages, on_click=_turn, args=(page + 1,))


def _others(url: str, launch: Launch, user_id: str) -> None:
    dataset = launch.experiment.data.dataset  # users of another one are others, whatever their ids
    launches = [each for each in reading.launches(url) if each.experiment.data.dataset == dataset]
    others = [each for each in launches if each.experiment.key != launch.experiment.key]
    placed: list[tuple[Launch, Place]] = [
        (each, place(each.experiment, user_id, traffic=each.traffic)) for each in others
    ]
    exposed = reading_user.first_exposures(url, user_id, tuple(each.experiment.key for each in others))
    st.html(memberships(placed, exposed, user=user_id))


def _said(sentence: str) -> str:
    return f'<div class="abp-frame"><p>{escape(sentence)}</p></div>' if sentence else ""


def _asked_page() -> int:
    asked = st.query_params.get(asking.PAGE, "1")
    return max(1, int(asked)) if asked.isdecimal() and len(asked) < 10 else 1


def _turn(page: int) -> None:
    if page > 1:
        st.query_params[asking.PAGE] = str(page)
    else:
        st.query_params.pop(asking.PAGE, None)


def _newest() -> None:
    """Begin with the newest slates, since another experiment showed others."""
    st.query_params.pop(asking.PAGE, None)


if __name__ == "__main__":
    frame.page(_page)
