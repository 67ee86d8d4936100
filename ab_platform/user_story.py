"""What one user was shown and did under an experiment, and since when they count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ab_platform.events import Surface


@dataclass(frozen=True)
class UserExposure:
    """Since when a user counts on a surface, and in which arm."""

    surface: Surface
    arm: str
    at: datetime


@dataclass(frozen=True)
class TitleShown:
    """One title of a slate, and what the user did with it.

    Attributes:
        title_id: the title.
        title: its name; None where the data set does not have it.
        position: place in the slate, from 0.
        clicks: on it, from this slate.
        watch_seconds: played after it was shown; None where it was not.
    """

    title_id: str
    title: str | None
    position: int
    clicks: int
    watch_seconds: float | None


@dataclass(frozen=True)
class SlateShown:
    """One slate, as the user got it.

    Attributes:
        surface: where.
        at: when its first title was shown.
        arm: that the user was in.
        served_by: what made it: the arm's name, or `popularity` when the arm failed.
        latency_ms: how long that took; None where nobody measured it.
        titles: by their position.
    """

    surface: Surface
    at: datetime
    arm: str
    served_by: str
    latency_ms: float | None
    titles: tuple[TitleShown, ...]


@dataclass(frozen=True)
class UserStory:
    """All that is stored of a user under one experiment, but for slates that are on other pages.

    Attributes:
        known: whether the data set has the user, by an interaction or an attribute.
        erased_at: since when the user is forgotten; None for nearly everybody.
        mixed_at: first impression of a second arm, from which day on the user is left out; None for nearly everybody.
        exposures: a surface each, the first one first.
        slates: of this page, the newest first.
        slates_in_all: on all pages.
        astray: clicks and watches that point to no impression of the user's that arrived.
    """

    known: bool
    erased_at: datetime | None
    mixed_at: datetime | None
    exposures: tuple[UserExposure, ...]
    slates: tuple[SlateShown, ...]
    slates_in_all: int
    astray: int
