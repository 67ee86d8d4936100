"""Bodies of events, read fast: the shapes of `wire` once more, for a decoder that takes a third of the time.

It takes nothing that `wire` would not take. What it refuses `wire` reads again: some of that is sound all the same, and
of the rest `wire` says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder

from ab_platform.events import LONGEST_LATENCY_MS, LONGEST_WATCH_SECONDS, Surface

LONGEST_TEXT = 256
MOST_EVENTS = 5_000
MOST_POSITIONS = 10_000

_UNCERTAIN = re.compile(rb"\\u0000|\.\d{7,}[Zz+-]")
"""NUL as JSON writes it, which no text may hold; or a time finer than a microsecond, which this decoder would round and
`wire` cuts off, as whoever makes an id does."""

Text = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]


class _Sent(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", gc=False):
    experiment: Text
    user_id: Text
    surface: Surface
    at: Annotated[datetime, Meta(tz=True)]
    arm: Text | None = None


class _OnTitle(_Sent, frozen=True, kw_only=True, gc=False):
    title_id: Text
    event_id: UUID | None = None


class Impression(_OnTitle, tag="impression", frozen=True, kw_only=True, gc=False):
    """As `wire.ImpressionSent`."""

    type: ClassVar[str] = "impression"
    request_id: UUID
    position: Annotated[int, Meta(ge=0, lt=MOST_POSITIONS)]
    served_by: Text | None = None
    latency_ms: Annotated[float, Meta(ge=0, le=LONGEST_LATENCY_MS)] | None = None


class Click(_OnTitle, tag="click", frozen=True, kw_only=True, gc=False):
    """As `wire.ClickSent`."""

    type: ClassVar[str] = "click"
    impression_id: UUID


class Watch(_OnTitle, tag="watch", frozen=True, kw_only=True, gc=False):
    """As `wire.WatchSent`."""

    type: ClassVar[str] = "watch"
    impression_id: UUID
    watch_seconds: Annotated[float, Meta(ge=0, le=LONGEST_WATCH_SECONDS)]


class Exposure(_Sent, tag="exposure", frozen=True, kw_only=True, gc=False):
    """As `wire.ExposureSent`."""

    type: ClassVar[str] = "exposure"
    title_id: ClassVar[None] = None
    event_id: ClassVar[None] = None


Event = Impression | Click | Watch | Exposure


class _Body(Struct, forbid_unknown_fields=True):
    events: Annotated[list[Event], Meta(min_length=1, max_length=MOST_EVENTS)]


_DECODER = Decoder(_Body)
_KINDS: Mapping[str, type[Event]] = {kind.type: kind for kind in (Impression, Click, Watch, Exposure)}


def decoded(body: bytes) -> list[Event] | None:
    """Read a body; None where it is not certain that `wire` would take it as a whole."""
    if _UNCERTAIN.search(body):
        return None
    try:
        return _DECODER.decode(body).events
    except (DecodeError, RecursionError):
        return None


def of(values: Mapping[str, Any]) -> Event:
    """Return the event of values that `wire` has checked."""
    own = dict(values)
    return _KINDS[own.pop("type")](**own)
