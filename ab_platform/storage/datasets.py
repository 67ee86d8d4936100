"""Statements on data sets: titles and interactions come in as a stream and go out as codes and vocabularies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Select,
    String,
    cast,
    extract,
    func,
    literal,
    or_,
    select,
    update,
)

from ab_platform.errors import StoreError
from ab_platform.lineage import Dataset, Title
from ab_platform.storage import bulk
from ab_platform.storage.schema import datasets, interactions, titles

ROWS_AT_ONCE = 100_000

_STAGE = bulk.stage(
    "staged_interactions",
    Column("user_id", String),
    Column("title_id", String),
    Column("rating", Float),
    Column("at", BigInteger),
)


@dataclass(frozen=True, eq=False)
class InteractionColumns:
    """Interactions as codes into two vocabularies, sorted by user, then title.

    Attributes:
        users: the users, sorted.
        user_codes: `(rows,)` places in `users`.
        titles: the titles that anyone interacted with, sorted.
        title_codes: `(rows,)` places in `titles`.
        at: `(rows,)` unix seconds, 0 where the time is unknown.
    """

    users: tuple[str, ...]
    user_codes: NDArray[np.int64]
    titles: tuple[str, ...]
    title_codes: NDArray[np.int64]
    at: NDArray[np.int64]


class DatasetWriter:
    """Writes one data set inside the transaction that `Store.ingesting` opened; without `finish` nothing stays."""

    def __init__(self, connection: Connection, started: Dataset) -> None:
        self._connection = connection
        self._started = started
        self._rows = 0
        self._new_rows = 0
        self.finished: Dataset | None = None
        # The rows that point to it need it there; `finish` fills in the counts.
        put = bulk.upsert(bulk.engine_of(connection), datasets).on_conflict_do_nothing()
        if not bulk.changed(connection, put.values(**asdict(started))):
            raise StoreError(f"data set '{started.dataset}' is there already; ingest it under another name")

    def write_titles(self, rows: Sequence[Title]) -> None:
        """Store titles; one that is there already stays as it is."""
        values = [{**asdict(title), "genres": list(title.genres), "dataset": self._started.dataset} for title in rows]
        if values:
            put = bulk.upsert(bulk.engine_of(self._connection), titles).on_conflict_do_nothing()
            self._connection.execute(put, values)

    def write_interactions(
        self,
        user_ids: Sequence[str],
        title_ids: Sequence[str],
        ratings: NDArray[Any] | None,
        at: NDArray[np.int64] | None,
    ) -> int:
        """Store interactions; of those of one user and title, the first stays.

        Args:
            user_ids: `(rows,)`.
            title_ids: `(rows,)`.
            ratings: `(rows,)`, NaN where a row is not rated, or None where nothing is.
            at: `(rows,)` unix seconds, or None where times are unknown.

        Returns:
            How many were not there before.
        """
        rows = len(user_ids)
        rated = repeat(None, rows) if ratings is None else _without_nan(ratings)
        seconds = repeat(None, rows) if at is None else at.tolist()
        bulk.fill(self._connection, _STAGE, rows=zip(user_ids, title_ids, rated, seconds, strict=True))
        new_rows = bulk.changed(self._connection, _move_on(bulk.engine_of(self._connection), self._started.dataset))
        self._rows += rows
        self._new_rows += new_rows
        return new_rows

    def finish(self, bad_rows: int) -> Dataset:
        """Count what is stored and write it down.

        Args:
            bad_rows: rows of the source that were left out.
        """
        name = self._started.dataset
        users = select(interactions.c.user_id).where(interactions.c.dataset == name).distinct().subquery()
        self.finished = replace(
            self._started,
            interactions=self._count(select(func.count()).where(interactions.c.dataset == name)),
            users=self._count(select(func.count()).select_from(users)),
            titles=self._count(select(func.count()).where(titles.c.dataset == name)),
            bad_rows=bad_rows,
            repeated_rows=self._rows - self._new_rows,
        )
        self._connection.execute(update(datasets).where(datasets.c.dataset == name).values(**asdict(self.finished)))
        return self.finished

    def _count(self, query: Select[Any]) -> int:
        return int(self._connection.execute(query).scalar_one())


def _without_nan(ratings: NDArray[Any]) -> list[float | None]:
    # PostgreSQL takes NaN for a number above all others, SQLite for NULL.
    found: list[float | None] = ratings.tolist()
    for place in np.flatnonzero(np.isnan(ratings)):
        found[place] = None
    return found


def _move_on(engine: bulk.EngineName, dataset: str) -> bulk.Upsert:
    staged = select(
        literal(dataset).label("dataset"),
        _STAGE.c.user_id,
        _STAGE.c.title_id,
        _STAGE.c.rating,
        bulk.moment_of(engine, _STAGE.c.at).label("at"),
    )
    return bulk.upsert_from(engine, interactions, query=staged).on_conflict_do_nothing()


def find(connection: Connection, name: str) -> Dataset | None:
    """Return a data set by its name."""
    row = connection.execute(select(datasets).where(datasets.c.dataset == name)).one_or_none()
    return None if row is None else Dataset(**row._mapping)


def every(connection: Connection) -> tuple[Dataset, ...]:
    """List the data sets by name."""
    return tuple(Dataset(**row._mapping) for row in connection.execute(select(datasets).order_by(datasets.c.dataset)))


def titles_of(connection: Connection, dataset: str) -> dict[str, Title]:
    """Return the titles of a data set by their id."""
    columns = titles.c
    query = select(columns.title_id, columns.title, columns.genres, columns.year).where(columns.dataset == dataset)
    return {
        title_id: Title(title_id, title, tuple(genres), year)
        for title_id, title, genres, year in connection.execute(query)
    }


def interactions_of(connection: Connection, dataset: str, *, least_rating: float) -> InteractionColumns:
    """Return the interactions of a data set that are rated at least so, or not rated.

    Rows stream: beside the result, memory holds one chunk.
    """
    query = liked(dataset, least_rating=least_rating)
    user_codes, title_codes = _Codes(count().__next__), _Codes(count().__next__)
    columns: tuple[_Chunks, _Chunks, _Chunks] = ([], [], [])
    streamed = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)
    for rows in streamed.partitions():
        users, names, at = zip(*rows, strict=True)
        coded = map(user_codes.__getitem__, users), map(title_codes.__getitem__, names), at
        for chunks, values in zip(columns, coded, strict=True):
            chunks.append(np.fromiter(values, np.int64, len(rows)))
    return _sorted(user_codes, title_codes, columns)


def liked(dataset: str, *, least_rating: float) -> Select[str, str, int]:
    """Return the query for user, title and unix seconds of interactions that are rated at least so, or not rated."""
    seconds = cast(extract("epoch", interactions.c.at), BigInteger)
    return select(interactions.c.user_id, interactions.c.title_id, func.coalesce(seconds, 0)).where(
        interactions.c.dataset == dataset,
        or_(interactions.c.rating.is_(None), interactions.c.rating >= least_rating),
    )


_Codes = defaultdict[str, int]
_Chunks = list[NDArray[np.int64]]


def _sorted(user_codes: _Codes, title_codes: _Codes, columns: tuple[_Chunks, _Chunks, _Chunks]) -> InteractionColumns:
    """Number users and titles by their order, and sort the rows by both, whatever order the engine gave them in."""
    users, user_ranks = _ranks(user_codes)
    names, title_ranks = _ranks(title_codes)
    user_column, title_column = user_ranks[_joined(columns[0])], title_ranks[_joined(columns[1])]
    order = np.argsort(user_column * max(len(names), 1) + title_column, kind="stable")
    return InteractionColumns(users, user_column[order], names, title_column[order], _joined(columns[2])[order])


def _joined(chunks: _Chunks) -> NDArray[np.int64]:
    """Join the chunks of a column and let go of them, so that memory holds the column once."""
    whole = np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int64)
    chunks.clear()
    return whole


def _ranks(codes: _Codes) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the sorted words, and the place of each code's word among them."""
    words = tuple(sorted(codes))
    ranks = np.empty(len(words), dtype=np.int64)
    ranks[[codes[word] for word in words]] = np.arange(len(words))
    return words, ranks
