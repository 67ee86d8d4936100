"""Events as they travel, and docs/wire.md: each example is of the wire's shapes, each id is what the code makes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ab_platform.api import wire
from ab_platform.api.sent import MOST_EVENTS
from ab_platform.assignment import assign
from ab_platform.client import WireEvent, impression_id
from ab_platform.client.delivery import MOST_BYTES
from ab_platform.client.wire_event import Kind, moment, outgoing, read
from ab_platform.errors import EventError
from ab_platform.events import SURFACES, Click, Exposure, Impression, Watch, event_id
from ab_platform.experiment_file import load
from ab_platform.service.rules import Code
from tests.storage.made import KEY

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
SERVICE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "ab_platform" / "api").glob("*.py"))
BLOCKS = re.findall(r"<!-- (\w+) -->\n```json\n(.*?)```", DOCS, re.DOTALL)
VECTORS = re.findall(r"^\| `([0-9T:.Z+-]+)` \| `(.+?)` \| `([0-9a-f-]{36})` \|$", DOCS, re.MULTILINE)
SLATE, KEPT = json.loads(BLOCKS[0][1]), json.loads(BLOCKS[1][1])

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1), timezones=zones)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
uuids = st.builds(event_id, moments, texts)


@st.composite
def wire_events(draw: st.DrawFn) -> WireEvent:
    kind: Kind = draw(st.sampled_from(get_args(Kind)))
    arm = draw(st.none() | texts)
    at, surface = draw(moments), draw(st.sampled_from(SURFACES))
    head = WireEvent(kind, draw(texts), draw(texts), surface, at, arm=arm)
    if kind == "exposure":
        return head
    shown = kind == "impression"
    return WireEvent(
        kind,
        head.experiment,
        head.user_id,
        surface,
        at,
        arm=arm,
        title_id=draw(texts),
        event_id=draw(st.none() | uuids),
        request_id=draw(uuids) if shown else None,
        position=draw(st.integers(0, 9_999)) if shown else None,
        served_by=draw(st.none() | texts) if shown else None,
        latency_ms=draw(st.none() | st.floats(0.0, 3_600_000.0)) if shown else None,
        impression_id=None if shown else draw(uuids),
        watch_seconds=draw(st.floats(0.0, 86_400.0)) if kind == "watch" else None,
    )


@given(wire_events())
def test_every_event_is_one_line_that_reads_as_itself_and_has_the_wire_s_shape(event: WireEvent) -> None:
    line = event.line()
    assert b"\n" not in line
    assert read(line) == event
    [sent] = wire.EventsSent.model_validate_json(b'{"events":[' + line + b"]}").events
    assert (sent.type, sent.user_id, sent.at) == (event.type, event.user_id, event.at)


@given(moments, texts, st.integers(0, 9_999))
def test_the_id_of_a_slate_is_enough_to_make_those_of_its_impressions(at: datetime, key: str, position: int) -> None:
    request_id = event_id(at, key)
    assert impression_id(request_id, position) == event_id(at, f"{request_id}/{position}")
    assert timedelta(0) <= at - moment(request_id) < timedelta(milliseconds=1)


@example(datetime(2039, 6, 1, 5, 48, 10, 35_000, tzinfo=UTC), "a millisecond that no float of seconds holds")
@given(moments, texts)
def test_ids_have_the_layout_that_the_docs_tell(at: datetime, key: str) -> None:
    h = blake2b(key.encode(), digest_size=10).digest()
    milliseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    made = bytearray(milliseconds.to_bytes(6, "big"))
    made += bytes([0x70 | h[0] >> 4, (h[0] & 0x0F) << 4 | h[1] >> 4, 0x80 | h[2] & 0x3F, *h[3:]])
    assert event_id(at, key) == UUID(bytes=bytes(made))


def test_every_vector_in_the_docs_is_what_the_code_makes() -> None:
    assert len(VECTORS) >= 7
    for at, key, identity in VECTORS:
        assert str(event_id(datetime.fromisoformat(at), key)) == identity


def test_the_example_that_is_worked_out_is_right() -> None:
    [worked] = re.findall(r"```\n(moment .*?)```", DOCS, re.DOTALL)
    told = dict(re.split(r"  +", line, maxsplit=1) for line in worked.strip().splitlines())
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    milliseconds = int(at.timestamp() * 1000)
    assert told["moment"] == f"2026-03-01T12:00:00Z = {milliseconds} ms = {milliseconds.to_bytes(6, 'big').hex(' ')}"
    assert told["h"] == blake2b(told["key"].encode(), digest_size=10).digest().hex(" ")
    assert told["id"] == str(event_id(at, told["key"])) == SLATE["slate"][0]["impression_id"]
    bytes_ = UUID(told["id"]).bytes
    assert [told[f"byte {place}"][-2:] for place in (6, 7, 8)] == [f"{bytes_[place]:02x}" for place in (6, 7, 8)]
    assert told["bytes 9-15"] == bytes_[9:].hex(" ")


@pytest.mark.parametrize(("name", "text"), BLOCKS, ids=[f"{place}-{name}" for place, (name, _) in enumerate(BLOCKS)])
def test_every_example_in_the_docs_has_the_shape_that_it_says(name: str, text: str) -> None:
    shape = getattr(wire, name)
    TypeAdapter(shape).validate_json(text)
    told = json.loads(text)
    if not issubclass(shape, wire.Shape):
        assert set(told) == set(shape.__dataclass_fields__)


def test_every_body_that_the_docs_send_by_curl_has_its_shape() -> None:
    shapes: dict[str, type[wire.Shape]] = {"/v1/recommendations": wire.SlateAsked, "/v1/events": wire.EventsSent}
    bodies = re.findall(r"curl -s http://127\.0\.0\.1:8000(\S+) .*?-d '(.*?)'", DOCS, re.DOTALL)
    assert {path for path, _ in bodies} == set(shapes)
    for path, body in bodies:
        shapes[path].model_validate_json(body)


def test_the_ids_of_the_examples_are_those_that_the_service_would_make() -> None:
    at = datetime.fromisoformat(SLATE["at"])
    made = event_id(at, f"{SLATE['experiment']}/{SLATE['user_id']}/{SLATE['surface']}/")
    assert SLATE["request_id"] == str(made)
    for place in SLATE["slate"]:
        assert place["impression_id"] == str(impression_id(made, place["position"]))
    clicked = datetime.fromisoformat("2026-03-01T12:00:04.250Z")
    click = event_id(clicked, f"{SLATE['slate'][0]['impression_id']}/click")
    assert [item["event_id"] for item in KEPT["items"]] == [SLATE["slate"][0]["impression_id"], str(click)]
    [sent] = [json.loads(text) for name, text in BLOCKS if name == "EventsSent"]
    for each in sent["events"][1:3]:
        happened = datetime.fromisoformat(each["at"])
        assert each["event_id"] == str(event_id(happened, f"{each['impression_id']}/{each['type']}"))


def test_the_arms_of_the_examples_are_those_that_the_salts_give() -> None:
    experiment = load(ROOT / "experiments" / "pia-vs-multivae.toml")
    start, end = experiment.layer_buckets
    [told] = [json.loads(text)["assignments"] for name, text in BLOCKS if name == "Assignments"]
    for each in told:
        index = assign(
            each["user_id"],
            layer_salt=experiment.layer,
            layer_start=start,
            layer_end=end,
            experiment_salt=experiment.salt,
            ranges=experiment.ranges(1.0),
        ).arm_index
        assert index is not None
        assert (experiment.arms[index].name, experiment.arms[index].control) == (each["arm"], each["control"])


def test_every_code_of_a_rejection_and_of_a_problem_is_in_the_docs() -> None:
    told = set(re.findall(r"`([a-z_]+)`", "\n".join(line for line in DOCS.splitlines() if line.startswith("|"))))
    assert {*get_args(Code), "too_late"} <= told
    problems = set(re.findall(r'ProblemError\(\s*[\w.]+,\s*"(\w+)"', SERVICE))
    assert problems
    assert problems <= told


def test_the_limits_in_the_docs_are_the_wire_s() -> None:
    assert f"1 to {wire.MOST_USERS:,}; for experiments by key (at most {wire.MOST_EXPERIMENTS})" in DOCS
    [most] = re.findall(r"^MOST_BYTES = (\d+) \* 2\*\*20$", SERVICE, re.MULTILINE)
    assert f"1 to {MOST_EVENTS:,} events, in a body of at most {most} MiB" in DOCS
    assert int(most) * 2**20 > MOST_BYTES


def test_events_of_the_platform_become_those_of_the_wire_with_nothing_lost() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    one, slate = event_id(at, "one"), event_id(at, "slate")
    shown = Impression(one, KEY, "42", "pia", "home_card", "t0", at, slate, 3, "popularity", 2.5)
    clicked = Click(one, KEY, "42", "pia", "home_card", "t0", at, slate)
    watched = Watch(one, KEY, "42", "pia", "home_card", "t0", at, slate, 12.5)
    common = {"experiment": KEY, "user_id": "42", "surface": "home_card", "at": at.isoformat(), "arm": "pia"}
    titled = {**common, "title_id": "t0", "event_id": str(one)}
    slated = {"request_id": str(slate), "position": 3, "served_by": "popularity", "latency_ms": 2.5}
    assert json.loads(outgoing(shown).line()) == {**titled, **slated, "type": "impression"}
    assert json.loads(outgoing(clicked).line()) == {**titled, "type": "click", "impression_id": str(slate)}
    seconds = {"impression_id": str(slate), "watch_seconds": 12.5}
    assert json.loads(outgoing(watched).line()) == {**titled, **seconds, "type": "watch"}
    exposed = Exposure(KEY, "42", "pia", "home_card", at)
    assert json.loads(outgoing(exposed).line()) == {**common, "type": "exposure"}


def test_a_uuid_without_a_time_is_an_error() -> None:
    with pytest.raises(EventError, match="must be of version 7"):
        moment(UUID("550e8400-e29b-41d4-a716-446655440000"))


@pytest.mark.parametrize(("user_id", "experiment"), [("", KEY), ("42", "")])
def test_an_event_without_user_or_experiment_is_an_error(user_id: str, experiment: str) -> None:
    with pytest.raises(EventError, match="one of them is empty"):
        WireEvent("exposure", experiment, user_id, "home_card", datetime(2026, 3, 1, tzinfo=UTC))
