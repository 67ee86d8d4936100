"""From what OpenFeature's `track` is given to an event of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast, get_args
from uuid import UUID

from openfeature.evaluation_context import EvaluationContext
from openfeature.track import TrackingEventDetails

from ab_platform.client.wire_event import WireEvent, impression_id, moment, zoned
from ab_platform.errors import EventError
from ab_platform.events import EventKind, Surface, event_id

TRACKED: tuple[EventKind, ...] = get_args(EventKind)

Attributes = Mapping[str, object]


def tracked(
    name: str, context: EvaluationContext | None, details: TrackingEventDetails | None, *, at: datetime
) -> WireEvent:
    """Build the event.

    The targeting key is the user. `experiment`, `surface` and `title_id` are attributes of the details or the context.
    An impression needs `request_id` and `position`; a click and a watch need `impression_id`, or those two. A watch's
    value is its seconds. `at` may be given; an impression's is that of its slate, which the request_id tells.

    Args:
        name: `impression`, `click` or `watch`.
        context: has the user.
        details: have the rest.
        at: the time of a click or a watch that has none.

    Raises:
        EventError: naming the attribute that is missing or wrong.
    """
    given: Attributes = {**(context.attributes if context else {}), **(details.attributes if details else {})}
    user_id = context.targeting_key if context else None
    if not user_id:
        raise EventError(f"a tracked {name} has no targeting_key; it must be the user's id")
    if name == "impression":
        return _impression(user_id, given)
    if name == "click":
        return _pointing("click", user_id, given, at=at, watch_seconds=None)
    seconds = details.value if details else None
    if seconds is None:
        raise EventError("a tracked watch has no value; it must be the seconds that were watched")
    return _pointing("watch", user_id, given, at=at, watch_seconds=float(seconds))


def _impression(user_id: str, given: Attributes) -> WireEvent:
    request_id, position = _uuid("impression", given, "request_id"), _position("impression", given)
    return WireEvent(
        "impression",
        _text("impression", given, "experiment"),
        user_id,
        cast("Surface", _text("impression", given, "surface")),
        moment(request_id),
        title_id=_text("impression", given, "title_id"),
        event_id=impression_id(request_id, position),
        request_id=request_id,
        position=position,
    )


def _pointing(
    kind: EventKind, user_id: str, given: Attributes, *, at: datetime, watch_seconds: float | None
) -> WireEvent:
    pointed = _pointed(kind, given)
    happened = _at(given, at)
    return WireEvent(
        kind,
        _text(kind, given, "experiment"),
        user_id,
        cast("Surface", _text(kind, given, "surface")),
        happened,
        title_id=_text(kind, given, "title_id"),
        event_id=event_id(happened, f"{pointed}/{kind}"),
        impression_id=pointed,
        watch_seconds=watch_seconds,
    )


def _pointed(kind: str, given: Attributes) -> UUID:
    """Return the impression that a click or a watch points to."""
    if "impression_id" in given:
        return _uuid(kind, given, "impression_id")
    if "request_id" not in given or "position" not in given:
        raise EventError(f"a tracked {kind} has no attribute impression_id; give it, or both request_id and position")
    return impression_id(_uuid(kind, given, "request_id"), _position(kind, given))


def _text(kind: str, given: Attributes, name: str) -> str:
    found = given.get(name)
    if not isinstance(found, str) or not found:
        raise EventError(f"a tracked {kind} has {name} {found!r}; attribute {name} must be a text")
    return found


def _uuid(kind: str, given: Attributes, name: str) -> UUID:
    found = given.get(name)
    try:
        return UUID(str(found))
    except ValueError as error:
        raise EventError(
            f"a tracked {kind} has {name} {found!r}; attribute {name} is required and is a UUID"
        ) from error


def _position(kind: str, given: Attributes) -> int:
    found = given.get("position")
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise EventError(f"a tracked {kind} has position {found!r}; attribute position must be 0 or more")
    return found


def _at(given: Attributes, otherwise: datetime) -> datetime:
    """Return the attribute `at`, a moment or its ISO 8601 text."""
    found = given.get("at", otherwise)
    try:
        return zoned(found if isinstance(found, datetime) else datetime.fromisoformat(str(found)))
    except ValueError as error:
        raise EventError(
            f"attribute at is {found!r}; it must be ISO 8601, such as 2026-03-01T12:00:00+00:00"
        ) from error
