from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from ab_platform.api import sent, wire

NAMED: dict[str, Any] = {
    "type": "impression",
    "event_id": "0195517e-9180-7d7c-8c4d-0e1e2c3d4e5f",
    "experiment": "tail-vs-head",
    "user_id": "u",
    "surface": "home_card",
    "title_id": "t",
    "at": "2026-03-01T12:00:00Z",
    "request_id": "0195517e-9180-7d7c-8c4d-0e1e2c3d4e5f",
    "position": 0,
    "arm": "head",
    "served_by": "popularity",
    "latency_ms": 3.5,
    "impression_id": "0195517e-9180-7d7c-8c4d-0e1e2c3d4e5f",
    "watch_seconds": 60.25,
}
OWN = {
    "impression": {"title_id", "event_id", "request_id", "position", "served_by", "latency_ms"},
    "click": {"title_id", "event_id", "impression_id"},
    "watch": {"title_id", "event_id", "impression_id", "watch_seconds"},
    "exposure": set[str](),
}
COMMON = {"type", "experiment", "user_id", "surface", "at", "arm"}
ODD: dict[str, list[Any]] = {
    "event_id": [None, "", "urn:uuid:0195517e-9180-7d7c-8c4d-0e1e2c3d4e5f", "0195517e91807d7c8c4d0e1e2c3d4e5f"],
    "at": [
        "2026-03-01T12:00:00",
        "2026-03-01 12:00:00+02:00",
        "2026-03-01t12:00:00.5z",
        "2026-03-01",
        1772366400,
        "now",
    ],
    "position": [-1, 9_999, 10_000, 3.0, "3", True, 10**30],
    "latency_ms": [None, 0, -0.0, -1e-9, 3_600_000.1, 1e400, "3", True],
    "watch_seconds": [0, 86_400, 86_400.5, None, 1e-400],
    "surface": ["movie_card", "lobby", None, 3],
    "arm": [None, "", "é" * 256, "x" * 257],
    "type": ["click", "watch", "exposure", "purchase", None],
    "user_id": ["", "\x00", "a\x00b", "ü", "\ud800", "😀" * 256, "😀" * 257, 42, None, ["u"], "\\u0000"],
}


FINE = st.builds(
    "{}{:02}:59:{:02}{}{}".format,
    st.sampled_from(["2026-03-01T", "2026-12-31 ", "1969-12-31t", "0001-01-01T", "9999-12-31T"]),
    st.integers(0, 24),
    st.integers(0, 60),
    st.integers(0, 10**12).map(lambda number: f".{number}" if number % 2 else ""),
    st.sampled_from(["Z", "z", "+00:00", "-00:00", "+0130", "+14:00", "-23:59", "+25:00", " +00:00", ""]),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Events of which every other one is odd in a value, lacks one, or has one too many."""
    events = []
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(sorted(OWN)))
        event = {name: NAMED[name] for name in sorted(COMMON | OWN[kind])} | {"type": kind}
        match draw(st.integers(0, 6)):
            case 0:
                event.pop(draw(st.sampled_from(sorted(event))))
            case 1:
                name = draw(st.sampled_from([*sorted(set(NAMED) - set(event)), "price"]))
                event[name] = NAMED.get(name, 1)
            case 2:
                name = draw(st.sampled_from(sorted(ODD)))
                event[name] = draw(st.sampled_from(ODD[name]))
            case 3:
                event["at"] = draw(FINE)
        events.append(event)
    return json.dumps({"events": events}).encode()


@example(b'{"events": []}')
@example(b"[" * 100_000)
@example(b'{"events": [' + b"[" * 100_000)
@example(b'{"events": null}')
@example(b'{"events": [1]}')
@example(b'{"events": [], "more": 1}')
@example(json.dumps({"events": [{key: NAMED[key] for key in sorted(COMMON)} | {"type": "exposure"}] * 5_001}).encode())
@given(bodies())
def test_what_is_read_fast_is_what_the_documented_shapes_would_have_read(body: bytes) -> None:
    fast = sent.decoded(body)
    if fast is None:
        return
    slow = wire.EventsSent.model_validate_json(body)
    assert fast == [sent.of(dict(each)) for each in slow.events]


@pytest.mark.parametrize("kind", sorted(OWN))
def test_an_ordinary_event_of_every_kind_is_read_fast(kind: str) -> None:
    event = {name: NAMED[name] for name in COMMON | OWN[kind]} | {"type": kind}
    read = sent.decoded(json.dumps({"events": [event]}).encode())
    assert read is not None
    assert (read[0].type, read[0].at, read[0].arm) == (kind, datetime(2026, 3, 1, 12, tzinfo=UTC), "head")
    assert read[0].event_id == (None if kind == "exposure" else UUID(NAMED["event_id"]))


@given(bodies())
def test_every_item_of_a_body_is_either_read_or_unfit(body: bytes) -> None:
    items = len(json.loads(body)["events"])
    if not items or rb"\ud800" in body:  # nothing, or half a character: no JSON by the service's reading
        with pytest.raises(ValidationError):
            wire.EventsSent.read(body)
        return
    read = wire.EventsSent.read(body)
    assert len(read.fit) + len(read.unfit) == items
    assert set(read.unfit) <= set(range(items))
