"""Events: what is checked, and ids that are ordered by time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.errors import EventError
from ab_platform.events import Impression, Surface, Watch, event_id

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def impression(at: datetime = NOON, surface: Surface = "home_card", user_id: str = "u") -> Impression:
    return Impression(uuid4(), "e", user_id, "arm", surface, "t", at, uuid4(), 0, "arm")


def watch(seconds: float) -> Watch:
    return Watch(uuid4(), "e", "u", "arm", "home_card", "t", NOON, uuid4(), seconds)


@given(moments, st.text())
def test_an_id_is_a_version_7_uuid_of_its_millisecond(at: datetime, key: str) -> None:
    made = event_id(at, key)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(at.timestamp() * 1000)


@given(moments, st.text(), st.text())
def test_the_same_key_gives_the_same_id_and_another_key_another(at: datetime, one: str, other: str) -> None:
    assert event_id(at, one) == event_id(at, one)
    assert (event_id(at, one) == event_id(at, other)) == (one == other)


@given(moments, moments, st.text(), st.text())
def test_ids_sort_by_time(early: datetime, late: datetime, one: str, other: str) -> None:
    early, late = sorted((early, late))
    if late - early >= timedelta(milliseconds=1):
        assert event_id(early, one) < event_id(late, other)


def test_an_id_does_not_depend_on_the_zone_the_time_is_written_in() -> None:
    tokyo = datetime.fromisoformat("2026-03-01T21:00:00+09:00")
    assert event_id(tokyo, "k") == event_id(NOON, "k") == UUID(str(event_id(NOON, "k")))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(EventError, match="has no time zone; send it in UTC"):
        impression(at=datetime(2026, 3, 1, 12))


def test_an_unknown_surface_is_refused() -> None:
    with pytest.raises(EventError, match="surface 'lobby' is unknown; it must be one of home_card, movie_card"):
        impression(surface="lobby")  # type: ignore[arg-type]


def test_an_empty_user_is_refused() -> None:
    with pytest.raises(EventError, match="needs a user_id and a title_id"):
        impression(user_id="")


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 86_401.0])
def test_watch_seconds_that_cannot_be_are_refused(seconds: float) -> None:
    with pytest.raises(EventError, match="watch_seconds is"):
        watch(seconds)


@pytest.mark.parametrize("seconds", [0.0, 0.4, 86_400.0])
def test_watch_seconds_that_can_be_are_taken(seconds: float) -> None:
    assert watch(seconds).watch_seconds == seconds
