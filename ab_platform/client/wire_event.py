"""Events as they travel: one line of JSON each, and the ids that make a repetition harmless."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal
from uuid import UUID

from ab_platform.errors import EventError
from ab_platform.events import SURFACES, AnyEvent, Click, Exposure, Impression, Surface, event_id, moment_of

Kind = Literal["impression", "click", "watch", "exposure"]


@dataclass(frozen=True, slots=True)
class WireEvent:
    """One item of `POST /v1/events`; what is None does not travel.

    Attributes:
        type: what it is.
        experiment: key of the experiment.
        user_id: the user.
        surface: where it happened.
        at: when, with a time zone.
        title_id: the title; an exposure has none.
        event_id: its id; an exposure has none.
        arm: the user's arm, where the client knows it.
        request_id: of an impression: its slate.
        position: of an impression: place in the slate, from 0.
        served_by: of an impression: what made the slate, where that is not the arm.
        latency_ms: of an impression: how long the slate took.
        impression_id: of a click or watch: the impression it points to.
        watch_seconds: of a watch.
    """

    type: Kind
    experiment: str
    user_id: str
    surface: Surface
    at: datetime
    title_id: str | None = None
    event_id: UUID | None = None
    arm: str | None = None
    request_id: UUID | None = None
    position: int | None = None
    served_by: str | None = None
    latency_ms: float | None = None
    impression_id: UUID | None = None
    watch_seconds: float | None = None

    def __post_init__(self) -> None:
        """Check what can be told without the service.

        Raises:
            EventError: for a time without a zone, an unknown surface, or an empty user or experiment.
        """
        zoned(self.at)
        if self.surface not in SURFACES:
            raise EventError(f"surface {self.surface!r} is unknown; it must be one of {', '.join(SURFACES)}")
        if not self.user_id or not self.experiment:
            raise EventError(f"a {self.type} needs a user_id and an experiment; one of them is empty")

    def line(self) -> bytes:
        """Return it as one line of JSON, without the line's end.

        Raises:
            EventError: for a number that JSON has no word for.
        """
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        kept = {name: _plain(value) for name, value in named.items() if value is not None}
        try:
            return json.dumps(kept, separators=(",", ":"), allow_nan=False).encode()
        except ValueError as error:
            raise EventError(f"a {self.type} holds a number that is not finite: {kept}") from error


Sendable = AnyEvent | Exposure | WireEvent


def read(line: bytes) -> WireEvent:
    """Turn a line back into the event that made it."""
    values = json.loads(line)
    ids = {name: UUID(values[name]) for name in ("event_id", "request_id", "impression_id") if name in values}
    return WireEvent(**{**values, **ids, "at": datetime.fromisoformat(values["at"])})


def impression_id(request_id: UUID, position: int) -> UUID:
    """Return the id of a slate's impression at a position; the slate's own id tells its millisecond."""
    return event_id(moment(request_id), f"{request_id}/{position}")


def moment(identity: UUID) -> datetime:
    """Return the moment in a time-ordered id, to the millisecond.

    Raises:
        EventError: for a UUID of another version, which holds no time.
    """
    if identity.version != 7:
        raise EventError(f"id {identity} is a UUID of version {identity.version}; it must be of version 7")
    return moment_of(identity)


def zoned(at: datetime) -> datetime:
    """Return a moment as it is.

    Raises:
        EventError: where it has no time zone.
    """
    if at.tzinfo is None:
        raise EventError(f"event time {at.isoformat()} has no time zone; give one, such as datetime.now(UTC)")
    return at


def outgoing(event: Sendable) -> WireEvent:
    """Return an event as it travels."""
    if isinstance(event, WireEvent):
        return event
    if isinstance(event, Exposure):
        return WireEvent("exposure", event.experiment, event.user_id, event.surface, event.at, arm=event.arm)
    kind: Kind
    request_id = position = served_by = latency = pointed = seconds = None
    if isinstance(event, Impression):
        kind, request_id, position = "impression", event.slate_id, event.position
        served_by, latency = event.served_by, event.latency_ms
    elif isinstance(event, Click):
        kind, pointed = "click", event.impression_id
    else:
        kind, pointed, seconds = "watch", event.impression_id, event.watch_seconds
    return WireEvent(
        kind,
        event.experiment,
        event.user_id,
        event.surface,
        event.at,
        title_id=event.title_id,
        event_id=event.event_id,
        arm=event.arm,
        request_id=request_id,
        position=position,
        served_by=served_by,
        latency_ms=latency,
        impression_id=pointed,
        watch_seconds=seconds,
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
