"""Events as lines: what comes back is what was written."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.errors import EventError
from ab_platform.events import SURFACES, Click, Exposure, Impression, Watch
from ab_platform.service.codec import Item, decode, encode

ids = st.uuids()
words = st.text(min_size=1)
surfaces = st.sampled_from(SURFACES)
zones = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
moments = st.datetimes(timezones=zones)
common = (ids, words, words, words, surfaces, words, moments)
events: st.SearchStrategy[Item] = st.one_of(
    st.builds(
        Impression, *common, ids, st.integers(0, 2**40), words, st.none() | st.floats(0, 3_600_000, allow_nan=False)
    ),
    st.builds(Click, *common, ids),
    st.builds(Watch, *common, ids, st.floats(0, 86_400, allow_nan=False)),
    st.builds(Exposure, words, words, words, surfaces, moments),
)

CLICK = Click(UUID(int=1), "e", "u", "a", "home_card", "t", datetime(2026, 3, 1, tzinfo=UTC), UUID(int=2))


@given(events)
def test_an_event_comes_back_as_it_was(event: Item) -> None:
    back = decode(encode(event))
    assert type(back) is type(event)
    for field in fields(event):
        before, after = getattr(event, field.name), getattr(back, field.name)
        assert (after, type(after)) == (before, type(before))
    assert back.at.utcoffset() == event.at.utcoffset()


@given(events)
def test_an_event_is_one_line_of_ascii_that_begins_with_a_brace(event: Item) -> None:
    line = encode(event)
    assert line.isascii()
    assert line.startswith(b"{")
    assert not {b"\n", b"\r"} & {line[i : i + 1] for i in range(len(line))}


def test_half_a_surrogate_pair_in_a_name_comes_back() -> None:
    exposure = Exposure("e", "\ud800", "a", "home_card", CLICK.at)
    assert decode(encode(exposure)) == exposure


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b"[]",
        b"7",
        b'"click"',
        b"{}",
        b'{"type":"purchase"}',
        b'{"type":["click"]}',
        encode(CLICK).replace(b'"title_id":"t"', b'"price":1'),
        encode(CLICK).replace(b"home_card", b"lobby"),
        encode(CLICK).replace(b"+00:00", b""),
        encode(CLICK)[:-1],
    ],
)
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(EventError):
        decode(line)


def test_a_refusal_names_the_line() -> None:
    with pytest.raises(EventError, match=r"""b'{"type":"purchase"}' is not an event that was written by `encode`"""):
        decode(b'{"type":"purchase"}')
