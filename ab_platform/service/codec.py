"""Events as lines: one line of compact JSON each, and back to the same event."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from uuid import UUID

from ab_platform.errors import EventError
from ab_platform.events import AnyEvent, Click, Exposure, Impression, Watch

Item = AnyEvent | Exposure

_KINDS: dict[str, type[Item]] = {"impression": Impression, "click": Click, "watch": Watch, "exposure": Exposure}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_FIELDS = {kind: tuple(each.name for each in fields(kind)) for kind in _NAMES}
_IDS = {
    kind: tuple(name for name in names if name in {"event_id", "slate_id", "impression_id"})
    for kind, names in _FIELDS.items()
}


def encode(event: Item) -> bytes:
    """Write an event as one line of ASCII without its end.

    The time keeps its offset from UTC, in whole seconds as all zones have it, not the name of its zone.
    """
    kind = type(event)
    values = {name: getattr(event, name) for name in _FIELDS[kind]}
    return _json({"type": _NAMES[kind], **values}).encode("ascii")


def decode(line: bytes) -> Item:
    """Read an event from its line.

    Raises:
        EventError: for a line that is no event, or one that this version does not know or take.
    """
    try:
        values = json.loads(line)
        kind = _KINDS[values.pop("type")]
        for name in _IDS[kind]:
            values[name] = UUID(values[name])
        values["at"] = datetime.fromisoformat(values["at"])
        return kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EventError(f"{line[:200]!r} is not an event that was written by `encode`: {error!r}") from error


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


# Escaped to ASCII, so that any text, also half a surrogate pair, is one line and comes back as it was.
_json = json.JSONEncoder(separators=(",", ":"), default=_plain, check_circular=False).encode
