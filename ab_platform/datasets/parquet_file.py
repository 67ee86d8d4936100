"""Any Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ab_platform.datasets.files import content_hash, members
from ab_platform.datasets.naming import ColumnNames, Found, find_columns, titles_in, with_columns
from ab_platform.datasets.source import BadRows, Batch, Tick, Unit
from ab_platform.datasets.values import Columns, RawRow, RefusedError, Row, batch_of, batch_of_rows, checked
from ab_platform.errors import DataError
from ab_platform.lineage import Title

BATCH_ROWS = 200_000


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file of interactions.

    Attributes:
        name: the data set's name.
        place: where it is.
        path: of the file.
        columns: which of its columns hold what.
        size: its rows.
    """

    name: str
    place: str
    path: Path
    columns: Found
    size: int

    @property
    def unit(self) -> Unit:
        """Return rows."""
        return "rows"

    def content_hash(self, tick: Tick) -> str:
        """Return the sha256 of the file and of the columns' names: another column is another data set."""
        (file,) = members(self.path)
        share = self.size / max(file.size, 1)
        return with_columns(content_hash((file,), lambda done: tick(int(done * share))), self.columns)

    def titles(self, bad: BadRows) -> Iterator[Title]:
        """Yield what the rows tell of titles beside their ids."""
        if not self.columns.about_titles:
            return
        for title, *about in self._columns((self.columns.title, self.columns.title_name, self.columns.genres)):
            yield from titles_in(
                *(None if column is None else pc.cast(column, pa.string()) for column in (title, *about))
            )

    def batches(self, bad: BadRows) -> Iterator[Batch]:
        """Yield the rows."""
        done = 0
        for arrays in self._columns((self.columns.user, self.columns.title, self.columns.rating, self.columns.at)):
            columns = Columns(*arrays)
            first, done = done + 1, done + len(columns.users)
            try:
                yield batch_of(columns, done=done)
            except RefusedError:
                rows = list(self._good_rows(columns, first, bad))
                yield batch_of_rows(rows, rated=columns.ratings is not None, timed=columns.at is not None, done=done)

    def _columns(self, names: Sequence[str | None]) -> Iterator[tuple[Any, ...]]:
        try:
            with pq.ParquetFile(self.path) as file:
                for rows in file.iter_batches(BATCH_ROWS, columns=[name for name in names if name is not None]):
                    yield tuple(None if name is None else _decoded(rows[name]) for name in names)
        except (pa.ArrowInvalid, OSError) as error:
            raise _unreadable(self.path, error) from error

    def _good_rows(self, columns: Columns, first: int, bad: BadRows) -> Iterator[Row]:
        texts = zip(*map(_texts, (columns.users, columns.titles, columns.ratings, columns.at)), strict=False)
        for number, (user, title, rating, at) in enumerate(texts, start=first):
            try:
                yield checked(RawRow(user or "", title or "", rating, at), self.columns.names)
            except ValueError as error:
                bad.meet(f"{self.path.name}, row {number}", str(error))


def open_parquet(path: Path, wanted: ColumnNames) -> ParquetFile:
    """Open a Parquet file and find its columns.

    Raises:
        DataError: not Parquet, or a column is missing or of a type that cannot hold what it must.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from error
    columns = find_columns(schema.names, wanted, file=path.name)
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    moments = (pa.types.is_timestamp, pa.types.is_date)
    _require(path, schema, (columns.user, columns.title), (pa.types.is_integer,), "text or whole numbers")
    _require(path, schema, (columns.rating,), numbers, "numbers")
    _require(path, schema, (columns.at,), numbers + moments, "moments, or numbers of seconds")
    _require(path, schema, (columns.title_name, columns.genres), (), "text")
    return ParquetFile(path.stem, str(path), path, columns, rows)


def _require(path: Path, schema: Any, names: Sequence[str | None], kinds: Sequence[Any], wanted: str) -> None:
    """Refuse columns of other types; text is always allowed, since each value of it is checked."""
    for name in (name for name in names if name is not None):
        found = schema.field(name).type
        stored = found.value_type if pa.types.is_dictionary(found) else found
        if not any(kind(stored) for kind in (pa.types.is_string, pa.types.is_large_string, *kinds)):
            raise DataError(f"{path.name}: column '{name}' holds {found}; it must hold {wanted}")


def _decoded(column: Any) -> Any:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _texts(column: Any | None) -> Iterable[str | None]:
    """Write a column's values as a text file would; a missing value is an empty text."""
    if column is None:
        return repeat(None)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        texts: list[str] = np.datetime_as_string(column.to_numpy(zero_copy_only=False).astype("datetime64[s]")).tolist()
        return texts
    return (value or "" for value in pc.cast(column, pa.string()).to_pylist())


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read as Parquet ({error}); write it again, or give a CSV instead")
