"""Which column of a table holds what: named by the caller, or found by its usual name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from textwrap import shorten
from typing import Any

import pyarrow as pa

from ab_platform.datasets.values import Names
from ab_platform.errors import DataError, nearest
from ab_platform.lineage import Title


@dataclass(frozen=True)
class ColumnNames:
    """Which columns of a table hold what; None looks for the usual names.

    Attributes:
        user: who.
        title: id of what was watched.
        rating: how much it was liked.
        at: when: unix seconds, unix milliseconds or ISO 8601.
        title_name: what the title is called.
        genres: the title's genres, with `|` between them.
    """

    user: str | None = None
    title: str | None = None
    rating: str | None = None
    at: str | None = None
    title_name: str | None = None
    genres: str | None = None


@dataclass(frozen=True)
class Found:
    """The columns of one file; None where it has no such column.

    Attributes:
        user: who.
        title: id of what was watched.
        rating: how much it was liked.
        at: when.
        title_name: what the title is called.
        genres: the title's genres.
    """

    user: str
    title: str
    rating: str | None
    at: str | None
    title_name: str | None
    genres: str | None

    @property
    def names(self) -> Names:
        """Return the columns' names for messages about rows."""
        return Names(self.user, self.title, self.rating or "rating", self.at or "timestamp")

    @property
    def about_titles(self) -> bool:
        """Return whether the file tells more of a title than its id."""
        return self.title_name is not None or self.genres is not None


_USUAL: Mapping[str, tuple[str, ...]] = {
    "user": ("user_id", "user"),
    "title": ("title_id", "item_id", "movie_id", "song_id", "item", "movie", "song", "title"),
    "rating": ("rating",),
    "at": ("timestamp", "at", "time", "ts"),
    "title_name": ("title_name", "title"),
    "genres": ("genres",),
}
"""The first that is there counts. Case and `_` make no difference: `userId` is `user_id`."""

_REQUIRED = ("user", "title")


def find_columns(present: Sequence[str], wanted: ColumnNames, *, file: str) -> Found:
    """Find the columns of a table.

    Args:
        present: the table's columns.
        wanted: what the caller named.
        file: for messages.

    Raises:
        DataError: a named column is not there, or none looks like the user's or the title's.
    """
    taken: dict[str, str | None] = {}
    for what, name in asdict(wanted).items():
        free = [column for column in present if column not in taken.values()]
        taken[what] = _usual(what, free) if name is None else _named(name, present, file)
        if taken[what] is None and what in _REQUIRED:
            raise DataError(
                f"{file} has the columns {_listed(present)}; none is called {' or '.join(_USUAL[what])}, "
                f"so name the {what}'s column with --{what}"
            )
    return Found(**taken)  # type: ignore[arg-type]  # the required ones are there by now


def _usual(what: str, free: Sequence[str]) -> str | None:
    plain = {_plain(column): column for column in reversed(free)}
    return next((plain[_plain(usual)] for usual in _USUAL[what] if _plain(usual) in plain), None)


def _plain(column: str) -> str:
    return column.strip().lower().replace("_", "")


def _named(name: str, present: Sequence[str], file: str) -> str:
    if name not in present:
        raise DataError(
            f"{file} has the columns {_listed(present)}; '{name}' is none of them, {nearest(name, present)}"
        )
    return name


def _listed(present: Sequence[str]) -> str:
    return shorten(", ".join(present), 200, placeholder=" ...")


def with_columns(content_hash: str, columns: Found) -> str:
    """Return the sha256 of a file's hash and of what was read from it: another column is another data set."""
    return hashlib.sha256(json.dumps([content_hash, asdict(columns)]).encode()).hexdigest()


def titles_in(title_ids: Any, names: Any | None, genres: Any | None) -> Iterator[Title]:
    """Yield the distinct titles of a block of rows, in the order of their first row.

    Args:
        title_ids: Arrow array of text, (rows,).
        names: what they are called, likewise, or None.
        genres: their genres with `|` between them, likewise, or None.
    """
    nothing = pa.nulls(len(title_ids), pa.string())
    about = {"name": nothing if names is None else names, "genres": nothing if genres is None else genres}
    rows = pa.table({"id": title_ids, **about})
    for row in rows.group_by(["id", "name", "genres"], use_threads=False).aggregate([]).to_pylist():
        if row["id"]:
            yield title_of(row["id"], row["name"], row["genres"])


def title_of(title_id: str, name: str | None, genres: str | None) -> Title:
    """Build a title; one without a name is called by its id."""
    return Title(title_id, name or title_id, tuple(genres.split("|")) if genres else ())
