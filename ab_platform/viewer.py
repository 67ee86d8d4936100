"""The viewer model: how a replayed user visits, looks, clicks and watches. Few parameters, all documented."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from ab_platform.errors import ExperimentError
from ab_platform.serving import Histories, Request, Slate

WEEK = timedelta(days=7)
LAST_ENTRY = timedelta(hours=1)  # before the end, so that what follows a visit falls within the days too


@dataclass(frozen=True)
class Viewer:
    """What turns slates into events.

    A title is liked where it is among the user's held-back interactions and not watched yet in the replay.

    Attributes:
        visits_per_week: mean of the Poisson number of visits to Home Card in a week.
        attention: chance to look at position k is attention ** k.
        click_liked: chance to click a liked title that is looked at.
        click_other: the same for any other title.
        watch_liked_seconds: mean watch after a click on a liked title.
        watch_other_seconds: the same for any other title.
        watch_spread: sigma of the log-normal that spreads watches around their mean.
        longest_watch_seconds: no watch is longer.
    """

    visits_per_week: float = 3.0
    attention: float = 0.85
    click_liked: float = 0.5
    click_other: float = 0.02
    watch_liked_seconds: float = 1800.0
    watch_other_seconds: float = 120.0
    watch_spread: float = 0.8
    longest_watch_seconds: float = 4 * 3600.0

    def __post_init__(self) -> None:
        """Check that chances are chances and means are not negative.

        Raises:
            ExperimentError: naming the parameter, the value found and what is required.
        """
        for name in ("attention", "click_liked", "click_other"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ExperimentError(f"{name} is {getattr(self, name)}; it must be a chance from 0 to 1")
        amounts = ("visits_per_week", "watch_liked_seconds", "watch_other_seconds", "watch_spread")
        for name in (*amounts, "longest_watch_seconds"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ExperimentError(f"{name} is {getattr(self, name)}; it must be a finite number, at least 0")


@dataclass(frozen=True, slots=True)
class Play:
    """A click on one position of a slate and the watch that follows it."""

    slate_id: UUID
    position: int
    title_id: str
    at: datetime
    watch_seconds: float


@dataclass
class Session:
    """One user's week under one arm: what is liked, and what was shown and played.

    Attributes:
        user_id: the user.
        likes: titles that the user would still like to watch.
        histories: what the user has seen; what is played is added.
        slates: what was shown, in order.
        plays: what was clicked and watched, in order.
    """

    user_id: str
    likes: set[str]
    histories: Histories
    slates: list[Slate] = field(default_factory=list)
    plays: list[Play] = field(default_factory=list)


def week(
    session: Session,
    viewer: Viewer,
    *,
    starts_at: datetime,
    days: int,
    rng: np.random.Generator,
    enters_at: datetime | None = None,
) -> Generator[Request, Slate, None]:
    """Live through a user's visits: yield each request, take its slate, and keep what was done in the session.

    Args:
        session: the user; filled as the visits go on.
        viewer: the model.
        starts_at: start of the first day.
        days: length of the replay.
        rng: the user's own random stream.
        enters_at: visits before it are not made; all are where it is None.
    """
    length = timedelta(days=days) - LAST_ENTRY
    visits = rng.poisson(viewer.visits_per_week * (length / WEEK))
    for moment in np.sort(rng.random(visits)):
        visited_at = starts_at + _to_seconds(moment * length)
        if enters_at is not None and visited_at < enters_at:
            continue
        home = yield Request(session.user_id, "home_card", visited_at)
        for play in _look_through(home, session, viewer, rng):
            beside = yield Request(session.user_id, "movie_card", _after(play.at, 1), play.title_id)
            _look_through(beside, session, viewer, rng)


def _look_through(slate: Slate, session: Session, viewer: Viewer, rng: np.random.Generator) -> list[Play]:
    """Look down a slate, click, watch, and return what was played."""
    session.slates.append(slate)
    size = len(slate.title_ids)
    chance, spread = rng.random(size), rng.standard_normal(size)
    liked = np.array([title in session.likes for title in slate.title_ids], dtype=bool)
    click = viewer.attention ** np.arange(size) * np.where(liked, viewer.click_liked, viewer.click_other)
    seconds = _watch_seconds(liked, spread, viewer)
    plays = [
        Play(slate.slate_id, int(at), slate.title_ids[at], _after(slate.request.at, 2 + int(at)), float(seconds[at]))
        for at in np.flatnonzero(chance < click)
    ]
    for play in plays:
        session.likes.discard(play.title_id)
        session.histories.add(session.user_id, play.title_id)
    session.plays += plays
    return plays


def _watch_seconds(liked: NDArray[np.bool_], spread: NDArray[np.float64], viewer: Viewer) -> NDArray[np.float64]:
    """Return log-normal watches around their mean, (positions,)."""
    mean = np.where(liked, viewer.watch_liked_seconds, viewer.watch_other_seconds)
    sigma = viewer.watch_spread
    seconds = mean * np.exp(sigma * spread - sigma**2 / 2)
    capped: NDArray[np.float64] = np.round(np.minimum(seconds, viewer.longest_watch_seconds), 3)
    return capped


def _after(moment: datetime, seconds: int) -> datetime:
    return moment + timedelta(seconds=seconds)


def _to_seconds(length: timedelta) -> timedelta:
    """Round to whole seconds: a visit has no microseconds, so that the same visit reads the same on every engine."""
    return timedelta(seconds=int(length.total_seconds()))
