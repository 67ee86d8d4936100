"""A table of users in a CSV or Parquet file: the user column and any others as text, and where each row stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ab_platform.datasets.delimited import Layout, header, numbered_rows, parsed, without_header
from ab_platform.datasets.files import Block, blocks, members
from ab_platform.datasets.source import Unit
from ab_platform.datasets.values import RefusedError
from ab_platform.errors import DataError, nearest

BATCH_ROWS = 200_000
_CSV, _PARQUET = (".csv", ".tsv", ".txt"), (".parquet", ".pq")

OnRead = Callable[[int, int, Unit], None]
"""Told how much of the file is read, how much there is, and in which unit."""


@dataclass(frozen=True, eq=False)
class UsersTable:
    """The rows of a file, a user each.

    Attributes:
        file: its name, for messages.
        user_column: which column names the user.
        users: `(rows,)` Arrow array of distinct text.
        columns: the others by name, `(rows,)` Arrow arrays of text each, null or empty where nothing is known.
    """

    file: str
    user_column: str
    users: Any
    columns: dict[str, Any]


def read_users(path: Path, *, user: str, only: Sequence[str] | None, on_read: OnRead) -> UsersTable:
    """Read a table of users whole; memory holds its columns once.

    Args:
        path: of a .csv, .tsv, .txt, .parquet or .pq file.
        user: the column that names the user.
        only: the other columns wanted; all where None.
        on_read: told how far it is.

    Raises:
        DataError: no such file, a missing column, a row that cannot be taken, or a user who stands there twice.
    """
    ending = path.suffix.lower()
    if not path.is_file():
        raise DataError(f"'{path}' is not a file; give a CSV or Parquet file with a row for each user")
    if ending not in (*_CSV, *_PARQUET):
        raise DataError(f"{path} ends in '{ending}'; it must be one of {', '.join((*_CSV, *_PARQUET))}")
    opened = _Csv(path) if ending in _CSV else _Parquet(path)
    wanted = _wanted(opened.present, user, only, path.name)
    arrays = opened.read(wanted, on_read)
    _require_users(arrays[0], user, opened.where)
    return UsersTable(path.name, user, arrays[0], dict(zip(wanted[1:], arrays[1:], strict=True)))


def _wanted(present: Sequence[str], user: str, only: Sequence[str] | None, file: str) -> tuple[str, ...]:
    """Return the columns to read, the user's first."""
    repeated = sorted({name for name in present if present.count(name) > 1})
    if repeated:
        raise DataError(f"{file} has the column '{repeated[0]}' twice; name each column once")
    for name in (user, *(only or ())):
        if name not in present:
            hint = "; name the user's column with --user" if name == user else ""
            raise DataError(f"{file} has no column '{name}' ({nearest(name, present)}){hint}")
    others = tuple(dict.fromkeys(only or present))
    wanted = (user, *(name for name in others if name != user))
    if len(wanted) == 1:
        raise DataError(f"{file} has no column beside '{user}'; each further column is an attribute, such as device")
    return wanted


def _require_users(users: Any, column: str, where: Callable[[int], str]) -> None:
    """Refuse users without a name, and one who stands in two rows."""
    unusable = pc.or_(pc.equal(pc.binary_length(users), 0), pc.match_substring(users, "\0")).fill_null(True)
    if pc.any(unusable).as_py():
        row = pc.index(unusable, True).as_py()
        raise DataError(
            f"{where(row)}: {column} is {users[row].as_py() or ''!r}; it must be a text that is not empty and has no "
            "zero byte: mend the row"
        )
    codes = users.dictionary_encode().indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    if len(first) < len(codes):
        again = int(np.setdiff1d(np.arange(len(codes)), first)[0])
        before = int(np.flatnonzero(codes == codes[again])[0])
        raise DataError(
            f"{where(again)}: user '{users[again].as_py()}' stands there a second time, first at {where(before)}; "
            "a user has one value of each attribute: leave one row"
        )


class _Csv:
    """A CSV with a header line."""

    def __init__(self, path: Path) -> None:
        (self._file,) = members(path)
        self.present, self._separator = header(self._file, example="user_id,device,country")

    def read(self, wanted: Sequence[str], on_read: OnRead) -> list[Any]:
        """Read columns as text."""
        layout = self._layout
        places = tuple(self.present.index(name) for name in wanted)
        chunks: list[list[Any]] = [[] for _ in wanted]
        done = 0
        for block in blocks(self._file, quoted=True):
            done += len(block.data)
            rows = without_header(block) if block.line == 1 else block
            if rows.data.strip():
                for chunk, array in zip(chunks, self._arrays(rows, layout, places), strict=True):
                    chunk.append(array)
            on_read(done, self._file.size, "bytes")
        return [_joined(chunk) for chunk in chunks]

    def where(self, row: int) -> str:
        """Return file and line of a row; the file is read again up to it."""
        for block in blocks(self._file, quoted=True):
            rows = without_header(block) if block.line == 1 else block
            lines = [line for line, _ in islice(numbered_rows(rows, self._layout, self._file.name), row + 1)]
            if len(lines) > row:
                return f"{self._file.name}:{lines[row]}"
            row -= len(lines)
        return self._file.name

    @property
    def _layout(self) -> Layout:
        return Layout(self._separator, self.present, user=0, title=None, quoted=True, header=True)

    def _arrays(self, block: Block, layout: Layout, places: tuple[int, ...]) -> Sequence[Any]:
        try:
            return parsed(block.data, layout, places)
        except (RefusedError, pa.ArrowInvalid):
            fields = [self._checked(line, row) for line, row in numbered_rows(block, layout, self._file.name)]
            return [pa.array([row[place] for row in fields], pa.string()) for place in places]

    def _checked(self, line: int, row: Sequence[str]) -> Sequence[str]:
        if len(row) != len(self.present):
            wanted = f"{len(self.present)} ({self._separator.join(self.present)})"
            raise DataError(
                f"{self._file.name}:{line}: the number of fields is {len(row)}; it must be {wanted}: mend the line"
            )
        try:
            "".join(row).encode()
        except UnicodeEncodeError:
            raise DataError(f"{self._file.name}:{line}: the row is no UTF-8; write the file in UTF-8") from None
        return row


class _Parquet:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with pq.ParquetFile(path) as file:
                self._schema, self._rows = file.schema_arrow, file.metadata.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise self._unreadable(error) from error
        self.present: tuple[str, ...] = tuple(self._schema.names)

    def read(self, wanted: Sequence[str], on_read: OnRead) -> list[Any]:
        """Read columns as text."""
        self._require_types(wanted)
        chunks: list[list[Any]] = [[] for _ in wanted]
        done = 0
        try:
            with pq.ParquetFile(self._path) as file:
                for rows in file.iter_batches(BATCH_ROWS, columns=list(wanted)):
                    for chunk, name in zip(chunks, wanted, strict=True):
                        chunk.append(pc.cast(_decoded(rows[name]), pa.string()))
                    done += len(rows)
                    on_read(done, self._rows, "rows")
        except (pa.ArrowInvalid, OSError) as error:
            raise self._unreadable(error) from error
        return [_joined(chunk) for chunk in chunks]

    def where(self, row: int) -> str:
        """Return file and number of a row."""
        return f"{self._path.name}, row {row + 1}"

    def _require_types(self, wanted: Sequence[str]) -> None:
        for place, name in enumerate(wanted):
            found = self._schema.field(name).type
            stored = found.value_type if pa.types.is_dictionary(found) else found
            text = pa.types.is_string(stored) or pa.types.is_large_string(stored)
            plain = text or pa.types.is_integer(stored)
            if place and not plain:
                plain = pa.types.is_primitive(stored) or pa.types.is_decimal(stored)
            if not plain:
                required = "text, numbers, true and false, or days" if place else "text or whole numbers"
                raise DataError(f"{self._path.name}: column '{name}' holds {found}; it must hold {required}")

    def _unreadable(self, error: Exception) -> DataError:
        return DataError(f"{self._path} cannot be read as Parquet ({error}); write it again, or give a CSV instead")


def _decoded(column: Any) -> Any:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _joined(chunks: Sequence[Any]) -> Any:
    return pa.concat_arrays([_whole(chunk) for chunk in chunks]) if chunks else pa.array([], pa.string())


def _whole(chunk: Any) -> Any:
    return chunk.combine_chunks() if isinstance(chunk, pa.ChunkedArray) else chunk
