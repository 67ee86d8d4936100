"""Interactions in lines of text with a separator: a block at once, line by line only where a line is bad."""

from __future__ import annotations

import csv
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from ab_platform.datasets.files import Block, Member, blocks, first_line
from ab_platform.datasets.source import BadRows, Batch
from ab_platform.datasets.values import Columns, Names, RawRow, RefusedError, Row, batch_of, batch_of_rows, checked
from ab_platform.errors import DataError

SEPARATORS = ",;\t|"

_LONG = b"\x1f"
"""ASCII unit separator: stands in for a separator of more than one byte, since Arrow takes one byte only."""


@dataclass(frozen=True)
class Layout:
    """Where things stand in a line.

    Attributes:
        separator: between fields.
        columns: how the fields are called, in order.
        user: place of the user id.
        title: place of the title id, or None where a heading gives it.
        rating: place of the rating, or None.
        at: place of the time, or None.
        quoted: whether fields may stand in double quotes and go over several lines.
        header: whether the first line names the columns.
    """

    separator: str
    columns: tuple[str, ...]
    user: int
    title: int | None
    rating: int | None = None
    at: int | None = None
    quoted: bool = False
    header: bool = False

    @property
    def names(self) -> Names:
        """Return the columns' names by what they hold."""
        rating, at = (None if place is None else self.columns[place] for place in (self.rating, self.at))
        title = "title" if self.title is None else self.columns[self.title]
        return Names(self.columns[self.user], title, rating or "rating", at or "timestamp")


def read(member: Member, layout: Layout, bad: BadRows) -> Iterator[Batch]:
    """Yield a file's interactions.

    Args:
        member: the file.
        layout: where things stand in a line.
        bad: told of rows that cannot be taken.

    Raises:
        DataError: a bad row, unless they are skipped; a damaged file.
    """
    done = 0
    for block in blocks(member, quoted=layout.quoted):
        done += len(block.data)
        rows = without_header(block) if layout.header and block.line == 1 else block
        if rows.data:
            yield _batch(rows, layout, bad, place=member.name, done=done)


def header(file: Member, *, example: str) -> tuple[tuple[str, ...], str]:
    """Return the columns' names and what separates them: the separator that comes most often.

    Args:
        file: whose first line names the columns.
        example: of such a line, for the error.

    Raises:
        DataError: for a first line that is empty.
    """
    line = first_line(file)
    if not line:
        raise DataError(f"{file.name}:1: the line is empty; it must name the columns, such as '{example}'")
    separator = max(SEPARATORS, key=line.count)
    return tuple(column.strip() for column in next(csv.reader([line], delimiter=separator))), separator


def without_header(block: Block) -> Block:
    """Drop the first line."""
    _, _, rows = block.data.partition(b"\n")
    return Block(rows, block.line + 1)


def _batch(block: Block, layout: Layout, bad: BadRows, *, place: str, done: int) -> Batch:
    try:
        return batch_of(_columns(block.data, layout), done=done)
    except (RefusedError, pa.ArrowInvalid):
        rows = list(_good_rows(block, layout, bad, place))
        return batch_of_rows(rows, rated=layout.rating is not None, timed=layout.at is not None, done=done)


def _columns(data: bytes, layout: Layout) -> Columns:
    """Parse a block.

    Raises:
        pyarrow.ArrowInvalid: a line with another number of fields, or text that is not UTF-8.
        RefusedError: the block holds the byte that stands in for a long separator.
    """
    user, title, rating, at = parsed(data, layout, (layout.user, layout.title, layout.rating, layout.at))
    return Columns(user, title, rating, at)


def parsed(data: bytes, layout: Layout, places: tuple[int | None, ...]) -> tuple[Any, ...]:
    """Parse a block into Arrow arrays of text.

    Args:
        data: whole rows.
        layout: where things stand in a line.
        places: the columns wanted; a None gives a None.

    Raises:
        pyarrow.ArrowInvalid: a line with another number of fields, or text that is not UTF-8.
        RefusedError: the block holds the byte that stands in for a long separator.
    """
    separator = layout.separator.encode()
    if len(separator) > 1:
        if _LONG in data:
            raise RefusedError
        data, separator = data.replace(separator, _LONG), _LONG
    wanted = [str(place) for place in places if place is not None]
    table = arrow_csv.read_csv(
        pa.BufferReader(data),
        # One thread keeps memory at one block, and the database is the slower half anyhow.
        arrow_csv.ReadOptions(column_names=[str(place) for place in range(len(layout.columns))], use_threads=False),
        arrow_csv.ParseOptions(
            delimiter=separator.decode(), quote_char='"' if layout.quoted else False, newlines_in_values=layout.quoted
        ),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.string()),
            include_columns=wanted,
            null_values=[],
            strings_can_be_null=False,
        ),
    )
    return tuple(None if place is None else table[str(place)].combine_chunks() for place in places)


def _good_rows(block: Block, layout: Layout, bad: BadRows, place: str) -> Iterator[Row]:
    names = layout.names
    for line, fields in numbered_rows(block, layout, place):
        try:
            yield checked(_raw(fields, layout), names)
        except ValueError as error:
            bad.meet(f"{place}:{line}", str(error))


def _raw(fields: list[str], layout: Layout) -> RawRow:
    """Pick a row's fields.

    Raises:
        ValueError: another number of fields.
    """
    if len(fields) != len(layout.columns):
        wanted = f"{len(layout.columns)} ({layout.separator.join(layout.columns)})"
        raise ValueError(f"the number of fields is {len(fields)}; it must be {wanted}")
    user, title, rating, at = (
        None if place is None else fields[place] for place in (layout.user, layout.title, layout.rating, layout.at)
    )
    return RawRow(user or "", title or "", rating, at)


def numbered_rows(block: Block, layout: Layout, place: str) -> Iterator[tuple[int, list[str]]]:
    """Yield a block's rows as fields, each with the number of its first line; blank lines are left out.

    Raises:
        DataError: a row that is no CSV at all.
    """
    # What is not UTF-8 goes on as surrogates, for the check of the field to tell.
    lines = block.data.removeprefix(BOM_UTF8).decode(errors="surrogateescape").split("\n")
    if layout.quoted:
        yield from _numbered_csv(lines, block.line, layout.separator, place)
        return
    for number, line in enumerate(lines, start=block.line):
        if text := line.removesuffix("\r"):
            yield number, text.split(layout.separator)


def _numbered_csv(lines: list[str], first: int, separator: str, place: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line + "\n" for line in lines), delimiter=separator)
    start = 0
    try:
        for fields in reader:
            if fields:
                yield first + start, fields
            start = reader.line_num
    except csv.Error as error:
        raise DataError(f"{place}:{first + start}: not a row of CSV ({error}); mend the line") from error
