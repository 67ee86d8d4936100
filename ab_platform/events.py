"""What users saw and did: Impression, Click, Watch, and the exposure that an impression makes."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

from ab_platform.errors import EventError

Surface = Literal["home_card", "movie_card"]
SURFACES: tuple[Surface, ...] = get_args(Surface)

EventKind = Literal["impression", "click", "watch"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_TIME_ORDERED = 7
_RFC_9562 = 0b10

LONGEST_WATCH_SECONDS = 24 * 3600.0
LONGEST_LATENCY_MS = 3600 * 1000.0


@dataclass(frozen=True, slots=True)
class Event:
    """What every event carries.

    Attributes:
        event_id: time-ordered id, from `event_id()`; a second event of the same id is the same event.
        experiment: key of the experiment whose arm served the slate.
        user_id: the user, as the client names it.
        arm: the user's assigned arm; it does not change when popularity had to serve.
        surface: where the slate was shown.
        title_id: the title shown, clicked or watched.
        at: when it happened, with a time zone.
    """

    event_id: UUID
    experiment: str
    user_id: str
    arm: str
    surface: Surface
    title_id: str
    at: datetime

    def __post_init__(self) -> None:
        """Check what every event must satisfy.

        Raises:
            EventError: for a time without a zone, an unknown surface, or an empty user or title.
        """
        _check_time_and_place(self.at, self.surface)
        if not self.user_id or not self.title_id:
            raise EventError("an event needs a user_id and a title_id; one of them is empty")


@dataclass(frozen=True, slots=True)
class Impression(Event):
    """One title shown at one position of one slate.

    Attributes:
        slate_id: id of the ordered list that was served, shared by its impressions.
        position: place in the slate, from 0.
        served_by: what made the slate: the arm's name, or `popularity` when the arm failed.
        latency_ms: how long the slate took to make; None where nobody measured it.
    """

    slate_id: UUID
    position: int
    served_by: str
    latency_ms: float | None = None

    def __post_init__(self) -> None:
        """Check the latency too.

        Raises:
            EventError: for a latency that is not a number from 0 to an hour.
        """
        Event.__post_init__(self)
        if self.latency_ms is not None and not 0.0 <= self.latency_ms <= LONGEST_LATENCY_MS:
            raise EventError(f"latency_ms is {self.latency_ms}; it must be a number from 0 to {LONGEST_LATENCY_MS:.0f}")


@dataclass(frozen=True, slots=True)
class Click(Event):
    """A click on a title that was shown."""

    impression_id: UUID


@dataclass(frozen=True, slots=True)
class Watch(Event):
    """A title played after it was shown; several watches of one impression add up."""

    impression_id: UUID
    watch_seconds: float

    def __post_init__(self) -> None:
        """Check the seconds too.

        Raises:
            EventError: for seconds that are not a number from 0 to a day.
        """
        Event.__post_init__(self)
        if not (math.isfinite(self.watch_seconds) and 0.0 <= self.watch_seconds <= LONGEST_WATCH_SECONDS):
            raise EventError(
                f"watch_seconds is {self.watch_seconds}; it must be a number from 0 to {LONGEST_WATCH_SECONDS:.0f}"
            )


AnyEvent = Impression | Click | Watch


@dataclass(frozen=True, slots=True)
class Exposure:
    """Word of a client that renders its own slates: an assigned user was served on a surface.

    It is no raw event. It stands where no earlier one of the user on the surface does, an impression's or another.

    Attributes:
        experiment: key of the experiment.
        user_id: the user, as the client names it.
        arm: the user's assigned arm.
        surface: where the user was served.
        at: when, with a time zone.
    """

    experiment: str
    user_id: str
    arm: str
    surface: Surface
    at: datetime

    def __post_init__(self) -> None:
        """Check what every exposure must satisfy.

        Raises:
            EventError: for a time without a zone, an unknown surface, or an empty user.
        """
        _check_time_and_place(self.at, self.surface)
        if not self.user_id:
            raise EventError("an exposure needs a user_id; it is empty")


def event_id(at: datetime, key: str) -> UUID:
    """Make the time-ordered id of an event from its time and a key that is unique to it.

    The layout is UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 bits, here of a hash of
    the key instead of chance, so that a retry makes the same id. Time order keeps inserts at the end of the index.

    Args:
        at: when it happened, with a time zone.
        key: unique to the event, such as `experiment/user/visit/position/kind`.
    """
    digest = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=10).digest())
    high = digest >> 68
    low = digest & ((1 << 62) - 1)
    return UUID(int=milliseconds(at) << 80 | _TIME_ORDERED << 76 | high << 64 | _RFC_9562 << 62 | low)


def first_id(at: datetime) -> UUID:
    """Return the lowest id that an event of a moment, to the millisecond, may have."""
    return UUID(int=milliseconds(at) << 80)


def is_time_ordered(number: int) -> bool:
    """Tell whether an id, as an integer, is a UUID of version 7 by RFC 9562."""
    return number >> 76 & 0xF == _TIME_ORDERED and number >> 62 & 0b11 == _RFC_9562


def milliseconds(at: datetime) -> int:
    """Return the whole milliseconds since 1970, as a time-ordered id begins with them."""
    return (at - _EPOCH) // _MILLISECOND  # in integers: a float of seconds may fall short of one


def moment_of(identity: UUID) -> datetime:
    """Return the moment in a time-ordered id, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=identity.int >> 80)


def _check_time_and_place(at: datetime, surface: str) -> None:
    if at.tzinfo is None:
        raise EventError(f"event time {at.isoformat()} has no time zone; send it in UTC, with +00:00")
    if surface not in SURFACES:
        raise EventError(f"surface {surface!r} is unknown; it must be one of {', '.join(SURFACES)}")
