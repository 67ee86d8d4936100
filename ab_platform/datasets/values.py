"""What a user, a title, a rating and a time must be: for whole columns at once, and for one row with words.

Both say the same; the columns are the quick way, and where they are refused the rows say which one it was and why.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ab_platform.datasets.source import Batch

FAR_FUTURE = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
"""Seconds from here on cannot be meant; as milliseconds the same number is in February 1970 or later."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_A_TIME = "unix seconds or milliseconds or an ISO 8601 moment, from 1970 to 2099"


class RefusedError(Exception):
    """Some row of the columns cannot be taken; go through the rows to see which."""


@dataclass(frozen=True, eq=False)
class Columns:
    """A block of rows as Arrow arrays, (rows,) each.

    Attributes:
        users: text or whole numbers.
        titles: text or whole numbers.
        ratings: text or numbers, or None where there are none.
        at: text, numbers or moments, or None where there are none.
    """

    users: Any
    titles: Any
    ratings: Any | None
    at: Any | None


class Row(NamedTuple):  # a tuple, since a file with a bad row in each block makes one of every row
    """One interaction."""

    user_id: str
    title_id: str
    rating: float | None
    at: int | None


class RawRow(NamedTuple):
    """One interaction as text, before it is checked; None where the source has no such column."""

    user_id: str
    title_id: str
    rating: str | None
    at: str | None


@dataclass(frozen=True)
class Names:
    """How the source calls its columns, for messages."""

    user: str = "user"
    title: str = "title"
    rating: str = "rating"
    at: str = "timestamp"


def batch_of(columns: Columns, *, done: int) -> Batch:
    """Check whole columns and turn them into a batch.

    Raises:
        RefusedError: some row cannot be taken.
    """
    try:
        return Batch(
            user_ids=_ids(columns.users),
            title_ids=_ids(columns.titles),
            ratings=None if columns.ratings is None else _numbers(columns.ratings),
            at=None if columns.at is None else _seconds(columns.at),
            done=done,
        )
    except pa.ArrowInvalid as error:
        raise RefusedError from error


def batch_of_rows(rows: list[Row], *, rated: bool, timed: bool, done: int) -> Batch:
    """Turn checked rows into a batch.

    Args:
        rows: the rows.
        rated: whether the source has ratings.
        timed: whether the source has times.
        done: how much of the source is read after them.
    """
    return Batch(
        user_ids=[row.user_id for row in rows],
        title_ids=[row.title_id for row in rows],
        ratings=np.array([row.rating for row in rows], dtype=np.float64) if rated else None,
        at=np.array([row.at for row in rows], dtype=np.int64) if timed else None,
        done=done,
    )


def checked(raw: RawRow, names: Names) -> Row:
    """Check one row.

    Raises:
        ValueError: with the value found and what is required.
    """
    return Row(
        user_id=_id(raw.user_id, names.user),
        title_id=_id(raw.title_id, names.title),
        rating=None if raw.rating is None else _number(raw.rating, names.rating),
        at=None if raw.at is None else _second(raw.at, names.at),
    )


def _ids(column: Any) -> list[str]:
    """Return a column's text; equal values are one object, since a user comes in many rows."""
    encoded = pc.cast(column, pa.string()).dictionary_encode()
    distinct = encoded.dictionary
    unusable = pc.or_(pc.equal(pc.binary_length(distinct), 0), pc.match_substring(distinct, "\0"))
    if encoded.null_count or pc.any(unusable).as_py():
        raise RefusedError
    shared = np.array(distinct.to_pylist(), dtype=object)
    ids: list[str] = shared[encoded.indices.to_numpy()].tolist()
    return ids


def _id(text: str, name: str) -> str:
    if not text or "\0" in text:
        raise ValueError(f"{name} is {text!r}; it must be a text that is not empty and has no zero byte")
    if not text.isascii():
        _require_utf8(text, name)
    return text


def _require_utf8(text: str, name: str) -> None:
    """Refuse what `surrogateescape` let through when the line was decoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raw = text.encode(errors="surrogateescape")
        raise ValueError(f"{name} is {raw!r}; it must be text in UTF-8") from None


def _numbers(column: Any) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = _filled(pc.cast(column, pa.float64()))
    if not np.isfinite(numbers).all():
        raise RefusedError
    return numbers


def _number(text: str, name: str) -> float:
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(f"{name} is {text!r}; it must be a number")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {text!r}; it must be a finite number")
    return number


def _seconds(column: Any) -> NDArray[np.int64]:
    """Return a column of times as unix seconds; a larger number than a second can be is milliseconds."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _in_range(_of_moments(column))
    if not _first_is(column, pa.float64()):
        # Arrow wants to know beforehand whether there is a zone.
        zone = None if _first_is(column, pa.timestamp("us")) else "UTC"
        return _in_range(_of_moments(pc.cast(column, pa.timestamp("us", tz=zone))))
    numbers = _numbers(column)
    return _in_range(np.floor(np.where(numbers >= FAR_FUTURE, numbers / 1000, numbers)))


def _first_is(column: Any, kind: Any) -> bool:
    """Tell by its first value what a column of text holds: a whole column that is not is slow to fail."""
    try:
        pc.cast(column.slice(0, 1), kind)
    except pa.ArrowInvalid:
        return False
    return True


def _of_moments(column: Any) -> NDArray[np.int64]:
    seconds: NDArray[np.int64] = _filled(column).astype("datetime64[s]").astype(np.int64)
    return seconds


def _in_range(seconds: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.int64]:
    if not ((seconds >= 0) & (seconds < FAR_FUTURE)).all():
        raise RefusedError
    return seconds.astype(np.int64)


def _filled(column: Any) -> Any:
    """Return a column as numpy, refused where a value is missing."""
    if column.null_count:
        raise RefusedError
    return column.to_numpy(zero_copy_only=False)


def _second(text: str, name: str) -> int:
    try:
        seconds = _second_of_number(text) if _NUMBER.fullmatch(text.strip()) else _second_of_moment(text.strip())
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is {text!r}; it must be {_A_TIME}") from None
    if not 0 <= seconds < FAR_FUTURE:
        raise ValueError(f"{name} is {text!r}; it must be {_A_TIME}")
    return seconds


def _second_of_number(text: str) -> int:
    number = float(text)
    return math.floor(number / 1000 if number >= FAR_FUTURE else number)


def _second_of_moment(text: str) -> int:
    """Read an ISO 8601 moment; one without a zone is UTC."""
    moment = datetime.fromisoformat(text)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _SECOND
