"""Which events are taken: of a launched experiment, a known title, a time that has come, and the user's own arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from ab_platform.access import Token
from ab_platform.errors import NotFoundError
from ab_platform.events import Surface, milliseconds
from ab_platform.pseudonym import digest
from ab_platform.service.roster import Roster, Standing

FASTEST_CLOCK = timedelta(minutes=5)
"""How far a client's clock may be ahead."""

NEAR = timedelta(days=1)
"""How far the moment in an event's id may be from the event's own."""

NEAR_MS = NEAR // timedelta(milliseconds=1)

MOST_KNOWN = 100_000
"""Users of an experiment whose arm is remembered: events of one come together, and the salts never change."""

Code = Literal[
    "unknown_experiment",
    "surface_not_served",
    "future",
    "before_start",
    "unknown_title",
    "erased",
    "not_in_experiment",
    "other_arm",
    "event_id",
]

Titles = Mapping[str, Mapping[str, str | None]]
"""What can be watched, by data set and title id: its name, or None where it has none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event is not taken.

    Attributes:
        code: for machines.
        reason: for people: the value found, what is required.
    """

    code: Code
    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """What every event tells, as the client sent it.

    Attributes:
        experiment: key of the experiment.
        user_id: the user, as the platform knows them.
        surface: where.
        at: when.
        arm: of the user, or None where the client leaves it to the service.
        title_id: what was shown, clicked or watched; None for an exposure.
        event_id: of the event; None where it is made from the content.
    """

    experiment: str
    user_id: str
    surface: Surface
    at: datetime
    arm: str | None
    title_id: str | None
    event_id: UUID | None


class Rules:
    """The rules at one moment, for the events of one request.

    Args:
        roster: who is served.
        titles: what can be watched; of a data set that is not there, every title is taken.
        token: of the client; None where none is needed.
        at: now.
    """

    def __init__(self, roster: Roster, titles: Titles, *, token: Token | None, at: datetime) -> None:
        self._roster = roster
        self._titles = titles
        self._token = token
        self._now = at

    def arm_of(self, told: Told) -> str | Refusal:
        """Return the arm under which an event is kept, or why it is not.

        An experiment that was stopped or ramped down still takes the events of everyone whom its full traffic holds:
        they may have been on their way.
        """
        try:
            standing = self._roster.standing(told.experiment, token=self._token)
        except NotFoundError as error:
            return Refusal("unknown_experiment", str(error))
        refused = self._refused(told, standing)
        if refused is not None:
            return refused
        arm = self._arm(standing, told.user_id)
        if arm is None:
            return Refusal("not_in_experiment", f"user {told.user_id} is in no arm of '{standing.key}'; send nothing")
        if told.arm is not None and told.arm != arm:
            return Refusal("other_arm", f"arm is '{told.arm}'; user {told.user_id} is in '{arm}' of '{standing.key}'")
        return arm

    def _refused(self, told: Told, standing: Standing) -> Refusal | None:
        launch = standing.launch
        if told.surface not in launch.experiment.surfaces:
            served = ", ".join(launch.experiment.surfaces)
            return Refusal("surface_not_served", f"'{standing.key}' serves {served}; this is of {told.surface}")
        refused = untimely(told.at, standing, now=self._now)
        if refused is not None:
            return refused
        titles = self._titles.get(launch.experiment.data.dataset)
        if told.title_id is not None and titles and told.title_id not in titles:
            dataset = launch.experiment.data.dataset
            return Refusal("unknown_title", f"title {told.title_id!r} is not in data set '{dataset}'; ingest it first")
        if told.event_id is not None and not of_its_time(told.event_id, told.at):
            return Refusal("event_id", f"event_id {told.event_id} is not a UUID of version 7 of a moment near `at`")
        return _erased(self._roster, told.user_id, told.at)

    def _arm(self, standing: Standing, user_id: str) -> str | None:
        known = standing.known_arms
        if user_id not in known:
            if len(known) >= MOST_KNOWN:
                known.clear()
            arm = standing.arm(place(standing, user_id, whole=True))
            known[user_id] = None if arm is None else arm.name
        return known[user_id]


def untimely(at: datetime, standing: Standing, *, now: datetime) -> Refusal | None:
    """Return why nothing can happen in an experiment at a moment, or None where it can.

    Live visits have happened, give or take a client's clock; visits that are replayed lie within the planned days.
    """
    starts_at, ends_at = standing.launch.starts_at, standing.launch.ends_at
    if at < starts_at:
        return Refusal("before_start", f"at is {at.isoformat()}; the experiment starts at {starts_at.isoformat()}")
    latest = now + FASTEST_CLOCK if standing.clock == "live" else ends_at
    if at > latest:
        return Refusal("future", f"at is {at.isoformat()}; it must be up to {latest.isoformat()}: set the clock")
    return None


def of_its_time(event_id: UUID, at: datetime) -> bool:
    """Tell whether an id is time-ordered and of about the moment of its event, by which it is kept."""
    return event_id.version == 7 and abs((event_id.int >> 80) - milliseconds(at)) <= NEAR_MS


def place(standing: Standing, user_id: str, *, whole: bool = False) -> int | None:
    """Return the place of a user's arm.

    Args:
        standing: the experiment.
        user_id: the user.
        whole: under full traffic, instead of that of now.
    """
    experiment = standing.launch.experiment
    return experiment.place(user_id, standing.whole_ranges if whole else standing.ranges).arm_index


def forgotten(roster: Roster, user_id: str, at: datetime) -> bool:
    """Tell whether a user asked to be forgotten since a moment."""
    return _erased(roster, user_id, at) is not None


def _erased(roster: Roster, user_id: str, at: datetime) -> Refusal | None:
    if not roster.erased:
        return None
    erased_at = roster.erased.get(digest(user_id))
    if erased_at is None or at > erased_at:
        return None
    return Refusal("erased", f"the user was erased at {erased_at.isoformat()}; what happened before is not kept")
