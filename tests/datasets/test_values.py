"""What a user, a title, a rating and a time must be."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.datasets.values import (
    FAR_FUTURE,
    Columns,
    Names,
    RawRow,
    RefusedError,
    batch_of,
    batch_of_rows,
    checked,
)
from tests.datasets.layouts import rows_of

NAMES = Names()


def row(*, user: str = "u", title: str = "t", rating: str = "4", at: str = "978300760") -> RawRow:
    return RawRow(user, title, rating, at)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("978300760", 978300760),
        ("978300760.0", 978300760),
        (" 978300760", 978300760),
        ("978300760999", 978300760),
        ("1.2e9", 1_200_000_000),
        ("2005-09-06", 1125964800),
        ("2005-09-06T12:00:00Z", 1126008000),
        ("2005-09-06 14:00:00+02:00", 1126008000),
        ("2005-09-06T12:00:00.999", 1126008000),
        ("0", 0),
    ],
)
def test_a_time_is_seconds_milliseconds_or_iso_8601(text: str, seconds: int) -> None:
    assert checked(row(at=text), NAMES).at == seconds


@pytest.mark.parametrize(
    "text",
    ["", "-1", "yesterday", "nan", "inf", "1969-12-31", "1969-12-31T23:59:59.9", "2100-01-01", "1e300", "2005-13-01"],
)
def test_a_time_before_1970_or_after_2099_or_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"timestamp is .* it must be unix seconds or milliseconds or an ISO"):
        checked(row(at=text), NAMES)


def test_milliseconds_begin_where_seconds_end() -> None:
    assert checked(row(at=str(FAR_FUTURE - 1)), NAMES).at == FAR_FUTURE - 1
    assert checked(row(at=str(FAR_FUTURE)), NAMES).at == FAR_FUTURE // 1000


@pytest.mark.parametrize("text", ["", "five", "nan", "inf", "1e999", "1_000", "0x10", "4,5"])
def test_a_rating_that_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rating is .* it must be a (finite )?number"):
        checked(row(rating=text), NAMES)


@pytest.mark.parametrize("text", ["", "a\0b", b"caf\xe9".decode(errors="surrogateescape")])
def test_an_id_that_no_database_takes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"user is .* it must be"):
        checked(row(user=text), NAMES)


# Mostly what files hold, sometimes what breaks them.
IDS = st.integers(1, 99).map(str) | st.sampled_from(["007", "Zoë", "a b", " u", "", "x\0y"]) | st.text(max_size=4)
NUMBERS = st.floats(0.5, 5.0).map(str) | st.sampled_from(
    ["4", "3.5", " 4", "4 ", "+4", "-0", ".5", "5.", "1e3", "nan", "NaN", "inf", "1e999", "1_0", "0x4", ""]
)
ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30))])
MOMENTS = st.datetimes(timezones=ZONES).map(datetime.isoformat) | st.dates().map(date.isoformat)
TIMES = NUMBERS | MOMENTS | st.integers(-10, 5 * 10**12).map(str) | st.floats(0, 5e12).map(str)


@given(st.lists(st.builds(RawRow, IDS, IDS, NUMBERS, TIMES), min_size=1, max_size=2))
def test_whole_columns_and_single_rows_agree(raws: list[RawRow]) -> None:
    texts = zip(*((raw.user_id, raw.title_id, raw.rating, raw.at) for raw in raws), strict=True)
    columns = Columns(*(pa.array(column, pa.string()) for column in texts))
    try:
        batch = batch_of(columns, done=0)
    except RefusedError:
        return
    rows = [checked(raw, NAMES) for raw in raws]
    assert rows_of(batch) == rows_of(batch_of_rows(rows, rated=True, timed=True, done=0))


@pytest.mark.parametrize(
    "times",
    [
        pa.array([978300760, 978300761]),
        pa.array([978300760999, 978300761000]),
        pa.array([978300760.5, 978300761.0]),
        pa.array(["978300760", "978300761"]),
        pa.array(["2000-12-31T22:12:40", "2000-12-31T22:12:41"]),
        pa.array(["2000-12-31T22:12:40Z", "2001-01-01T03:42:41+05:30"]),
        pa.array([978300760999, 978300761000], pa.timestamp("ms")),
        pa.array([978300760 * 10**9 + 1, 978300761 * 10**9], pa.timestamp("ns", tz="Asia/Kolkata")),
    ],
    ids=lambda array: str(array.type),
)
def test_a_column_of_times_may_have_any_common_type(times: Any) -> None:
    batch = batch_of(Columns(pa.array(["u", "v"]), pa.array([1, 2]), None, times), done=0)
    assert rows_of(batch) == [("u", "1", None, 978300760), ("v", "2", None, 978300761)]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([978300760, None]),
        pa.array([None, 0], pa.timestamp("us")),
        pa.array([-1, 0], pa.timestamp("s")),
        pa.array([10**17, 0], pa.timestamp("s")),
    ],
    ids=str,
)
def test_a_column_with_a_missing_or_absurd_time_is_refused(times: Any) -> None:
    with pytest.raises(RefusedError):
        batch_of(Columns(pa.array(["u", "v"]), pa.array(["t", "t"]), None, times), done=0)
