"""Which events are taken: of a launched experiment, a known title, a time that has come, and the user's own arm."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

from ab_platform.access import Token
from ab_platform.errors import NotFoundError
from ab_platform.events import Surface, is_time_ordered, milliseconds
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


class Told(Protocol):
    """What every event tells, as the client sent it."""

    @property
    def experiment(self) -> str:
        """Return the key of the experiment."""
        ...

    @property
    def surface(self) -> Surface:
        """Return where."""
        ...

    @property
    def at(self) -> datetime:
        """Return when."""
        ...

    @property
    def arm(self) -> str | None:
        """Return the arm of the user, or None where the client leaves it to the service."""
        ...

    @property
    def title_id(self) -> str | None:
        """Return what was shown, clicked or watched; None for an exposure."""
        ...

    @property
    def event_id(self) -> UUID | None:
        """Return the id of the event; None where it is made from the content."""
        ...


@dataclass(frozen=True, slots=True)
class _Open:
    """What is taken on one surface of one experiment.

    Attributes:
        standing: the experiment.
        first: earliest moment that an event may have.
        last: latest one.
        titles: that may be watched; None where every title is taken.
    """

    standing: Standing
    first: datetime
    last: datetime
    titles: Collection[str] | None


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
        self._looked_up: dict[tuple[str, Surface], _Open | Refusal] = {}

    def arm_of(self, told: Told, user_id: str) -> str | Refusal:
        """Return the arm under which an event is kept, or why it is not.

        An experiment that was stopped or ramped down still takes the events of everyone whom its full traffic holds:
        they may have been on their way.

        Args:
            told: the event.
            user_id: its user, as the platform knows them.
        """
        found = self._look_up(told.experiment, told.surface)
        if isinstance(found, Refusal):
            return found
        return self._refused(told, user_id, found) or self._arm(told, user_id, found.standing)

    def _look_up(self, experiment: str, surface: Surface) -> _Open | Refusal:
        """Return what is taken on a surface of an experiment: the same for all events of the request."""
        if (experiment, surface) not in self._looked_up:
            self._looked_up[experiment, surface] = self._opened(experiment, surface)
        return self._looked_up[experiment, surface]

    def _opened(self, experiment: str, surface: Surface) -> _Open | Refusal:
        try:
            standing = self._roster.standing(experiment, token=self._token)
        except NotFoundError as error:
            return Refusal("unknown_experiment", str(error))
        launched = standing.launch.experiment
        if surface not in launched.surfaces:
            served = ", ".join(launched.surfaces)
            return Refusal("surface_not_served", f"'{experiment}' serves {served}; this is of {surface}")
        return _Open(standing, *_span(standing, now=self._now), self._titles.get(launched.data.dataset) or None)

    def _refused(self, told: Told, user_id: str, found: _Open) -> Refusal | None:
        at, title_id, event_id = told.at, told.title_id, told.event_id
        if not found.first <= at <= found.last:
            return untimely(at, found.standing, now=self._now)
        if title_id is not None and found.titles is not None and title_id not in found.titles:
            dataset = found.standing.launch.experiment.data.dataset
            return Refusal("unknown_title", f"title {title_id!r} is not in data set '{dataset}'; ingest it first")
        if event_id is not None and not of_its_time(event_id, at):
            return Refusal("event_id", f"event_id {event_id} is not a UUID of version 7 of a moment near `at`")
        return _erased(self._roster, user_id, at)

    def _arm(self, told: Told, user_id: str, standing: Standing) -> str | Refusal:
        known = standing.known_arms
        if user_id not in known:
            if len(known) >= MOST_KNOWN:
                known.clear()
            placed = standing.arm(place(standing, user_id, whole=True))
            known[user_id] = None if placed is None else placed.name
        arm = known[user_id]
        if arm is None:
            return Refusal("not_in_experiment", f"user {user_id} is in no arm of '{standing.key}'; send nothing")
        if told.arm is not None and told.arm != arm:
            return Refusal("other_arm", f"arm is '{told.arm}'; user {user_id} is in '{arm}' of '{standing.key}'")
        return arm


def untimely(at: datetime, standing: Standing, *, now: datetime) -> Refusal | None:
    """Return why nothing can happen in an experiment at a moment, or None where it can.

    Live visits have happened, give or take a client's clock; visits that are replayed lie within the planned days.
    """
    first, last = _span(standing, now=now)
    if at < first:
        return Refusal("before_start", f"at is {at.isoformat()}; the experiment starts at {first.isoformat()}")
    if at > last:
        return Refusal("future", f"at is {at.isoformat()}; it must be up to {last.isoformat()}: set the clock")
    return None


def _span(standing: Standing, *, now: datetime) -> tuple[datetime, datetime]:
    """Return the first and the last moment at which something can have happened in an experiment."""
    launch = standing.launch
    return launch.starts_at, now + FASTEST_CLOCK if standing.clock == "live" else launch.ends_at


def of_its_time(event_id: UUID, at: datetime) -> bool:
    """Tell whether an id is time-ordered and of about the moment of its event, by which it is kept."""
    number = event_id.int
    return is_time_ordered(number) and abs((number >> 80) - milliseconds(at)) <= NEAR_MS


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
