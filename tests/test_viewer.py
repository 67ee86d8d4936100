"""The viewer model: its parameters mean what they say."""

from dataclasses import replace

import numpy as np
import pytest

from ab_platform.errors import ExperimentError
from ab_platform.events import SURFACES
from ab_platform.serving import Histories, Request
from ab_platform.viewer import Session, Viewer, week
from tests.worlds import START, TITLES, server

SEED = 20260301


def live(viewer: Viewer, *, likes: set[str], seed: int = SEED, days: int = 7) -> Session:
    session = Session("u", likes, Histories())
    visits = week(session, viewer, starts_at=START, days=days, rng=np.random.default_rng(seed))
    serving, request = server(), next(visits, None)
    while request is not None:
        [slate] = serving.slates("head", [request], session.histories)
        try:
            request = visits.send(slate)
        except StopIteration:
            break
    return session


def lives(viewer: Viewer, *, likes: set[str], users: int = 400) -> list[Session]:
    return [live(viewer, likes=set(likes), seed=SEED + number) for number in range(users)]


def within(found: float, expected: float, standard_error: float) -> bool:
    return abs(found - expected) < 4 * standard_error


def test_visits_are_poisson_with_the_given_weekly_mean() -> None:
    sessions = lives(Viewer(visits_per_week=3.0, click_other=0.0), likes=set())
    visits = np.array([len(session.slates) for session in sessions])
    assert within(visits.mean(), 3.0, np.sqrt(3.0 / len(visits)))


def test_clicks_follow_attention_and_liking() -> None:
    viewer = Viewer(attention=0.7, click_liked=0.6, click_other=0.0)
    sessions = lives(viewer, likes={TITLES[2]})
    first = [session for session in sessions if session.slates]
    clicked = np.mean([any(play.slate_id == each.slates[0].slate_id for play in each.plays) for each in first])
    expected = 0.6 * 0.7**2
    assert within(float(clicked), expected, np.sqrt(expected / len(first)))


def test_watches_have_the_given_means() -> None:
    viewer = Viewer(visits_per_week=6, attention=1.0, click_liked=1.0, click_other=0.3, watch_spread=0.4)
    sessions = lives(viewer, likes={TITLES[0]})
    liked = [play.watch_seconds for each in sessions for play in each.plays if play.title_id == TITLES[0]]
    other = [play.watch_seconds for each in sessions for play in each.plays if play.title_id != TITLES[0]]
    assert within(float(np.mean(liked)), 1800.0, float(np.std(liked) / np.sqrt(len(liked))))
    assert within(float(np.mean(other)), 120.0, float(np.std(other) / np.sqrt(len(other))))


def test_what_was_watched_joins_the_history_and_is_not_shown_again() -> None:
    session = live(Viewer(visits_per_week=10, attention=1.0, click_other=0.3), likes=set())
    assert session.plays
    for play in session.plays:
        later = [slate for slate in session.slates if slate.request.at > play.at]
        assert all(play.title_id not in slate.title_ids for slate in later)


def test_a_click_on_home_card_leads_to_that_titles_movie_card() -> None:
    session = live(Viewer(visits_per_week=10, attention=1.0, click_other=0.2), likes=set())
    home = {slate.slate_id for slate in session.slates if slate.request.surface == "home_card"}
    clicked = [play.title_id for play in session.plays if play.slate_id in home]
    opened = [slate.request.title_id for slate in session.slates if slate.request.surface == "movie_card"]
    assert clicked == opened
    assert clicked


def test_everything_falls_within_the_days() -> None:
    for session in lives(Viewer(visits_per_week=20, click_other=0.2), likes=set(), users=30):
        moments = [slate.request.at for slate in session.slates] + [play.at for play in session.plays]
        assert all(START <= moment < START.replace(day=8) for moment in moments)


def test_the_same_stream_lives_the_same_week() -> None:
    viewer = Viewer(visits_per_week=5)
    assert live(viewer, likes={"t01"}) == live(viewer, likes={"t01"})
    assert live(viewer, likes={"t01"}, seed=1) != live(viewer, likes={"t01"}, seed=2)


def test_a_session_begins_on_home_card() -> None:
    visits = week(
        Session("u", set(), Histories()),
        Viewer(visits_per_week=50),
        starts_at=START,
        days=7,
        rng=np.random.default_rng(1),
    )
    request = next(visits)
    assert isinstance(request, Request)
    assert request.surface == SURFACES[0]


@pytest.mark.parametrize(
    ("name", "value"), [("attention", 1.1), ("click_liked", -0.1), ("visits_per_week", float("inf"))]
)
def test_a_parameter_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ExperimentError, match=f"{name} is {value}"):
        replace(Viewer(), **{name: value})
