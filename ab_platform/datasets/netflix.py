"""The Netflix Prize as it was published: a heading line with the movie, then a line a rating.

James Bennett and Stan Lanning, "The Netflix Prize", KDD Cup and Workshop, 2007. Either one file a movie in
`training_set/`, or the same lines one after the other in `combined_data_1.txt` to `combined_data_4.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ab_platform.datasets.delimited import Layout, numbered_rows, parsed
from ab_platform.datasets.files import Block, Member, blocks, content_hash, numbered_lines
from ab_platform.datasets.source import BadRows, Batch, Tick, Unit
from ab_platform.datasets.values import Columns, RawRow, RefusedError, Row, batch_of, batch_of_rows, checked
from ab_platform.errors import DataError
from ab_platform.lineage import Title

_LAYOUT = Layout(",", ("user", "rating", "date"), user=0, title=None, rating=1, at=2)
_RATINGS = (re.compile(r"combined_data_\d+\.txt"), re.compile(r"mv_\d+\.txt"))
_TITLES = ("movie_titles.txt", "movie_titles.csv")
_HEADING = re.compile(rb"^(\d+):\r?\n", re.MULTILINE)


@dataclass(frozen=True)
class Netflix:
    """Ratings by movie, and titles.

    Attributes:
        name: the data set's name.
        place: where it comes from.
        ratings: the files of ratings, in order.
        movies: `movie_titles.txt` or `movie_titles.csv`.
    """

    name: str
    place: str
    ratings: tuple[Member, ...]
    movies: Member

    @property
    def unit(self) -> Unit:
        """Return bytes."""
        return "bytes"

    @property
    def size(self) -> int:
        """Return the bytes of the ratings."""
        return sum(file.size for file in self.ratings)

    def content_hash(self, tick: Tick) -> str:
        """Return the sha256 of ratings and titles."""
        return content_hash((*self.ratings, self.movies), tick)

    def titles(self, bad: BadRows) -> Iterator[Title]:
        """Yield the movies: id, year and title, which may hold commas."""
        for line, text in numbered_lines(self.movies):
            fields = text.split(",", 2)
            if len(fields) == 3 and fields[0] and (fields[1] == "NULL" or fields[1].isdecimal()):
                yield Title(fields[0], fields[2].strip(), year=None if fields[1] == "NULL" else int(fields[1]))
            else:
                bad.meet(
                    f"{self.movies.name}:{line}",
                    f"the row is {text!r}; it must have an id, a year or NULL, and a title",
                )

    def batches(self, bad: BadRows) -> Iterator[Batch]:
        """Yield the ratings."""
        done = 0
        for file in self.ratings:
            title = ""
            for block in blocks(file):
                done += len(block.data)
                batch, title = _batch(block, title, bad, place=file.name, done=done)
                yield batch


def find(files: Sequence[Member], *, name: str, place: str) -> Netflix | None:
    """Recognise the Netflix Prize by its files.

    Raises:
        DataError: there are ratings and no titles.
    """
    # Where both forms are there they hold the same, so one of them is enough.
    forms = ([file for file in files if form.fullmatch(file.name)] for form in _RATINGS)
    ratings = sorted(next(filter(None, forms), []), key=lambda file: file.name)
    if not ratings:
        return None
    movies = next((file for file in files if file.name in _TITLES), None)
    if movies is None:
        raise DataError(f"{place} holds {ratings[0].name} and no {_TITLES[0]}; put it there, since it has the titles")
    return Netflix(name, place, tuple(ratings), movies)


def _batch(block: Block, title: str, bad: BadRows, *, place: str, done: int) -> tuple[Batch, str]:
    """Read a block.

    Args:
        block: whole lines.
        title: the heading that its first rows stand under.
        bad: told of rows that cannot be taken.
        place: the file, for messages.
        done: bytes read after it.

    Returns:
        The rows, and the heading that the next block's first rows stand under.
    """
    try:
        columns, after = _columns(block.data, title)
        return batch_of(columns, done=done), after
    except (RefusedError, pa.ArrowInvalid):
        rows, after = _good_rows(block, title, bad, place)
        return batch_of_rows(rows, rated=True, timed=True, done=done), after


def _columns(data: bytes, title: str) -> tuple[Columns, str]:
    """Parse a block: take the headings out, parse what is left, and give each row its heading; returns as `_batch`.

    Raises:
        pyarrow.ArrowInvalid: a line that is neither a heading nor a rating.
        RefusedError: rows and lines do not match, as with blank lines.
    """
    parts = _HEADING.split(data)
    bodies, headings = parts[::2], [title, *(part.decode() for part in parts[1::2])]
    users, ratings, at = parsed(b"".join(bodies), _LAYOUT, (_LAYOUT.user, _LAYOUT.rating, _LAYOUT.at))
    counts = [body.count(b"\n") for body in bodies]
    counts[-1] += bodies[-1][-1:] not in (b"", b"\n")  # the last line of a file may lack its line feed
    if sum(counts) != len(users):
        raise RefusedError
    titles = pa.array(headings, pa.string()).take(pa.array(np.repeat(np.arange(len(headings)), counts)))
    return Columns(users, titles, ratings, at), headings[-1]


def _good_rows(block: Block, title: str, bad: BadRows, place: str) -> tuple[list[Row], str]:
    """Go through a block line by line; returns as `_batch`."""
    rows = []
    for line, fields in numbered_rows(block, _LAYOUT, place):
        try:
            if fields[-1].endswith(":"):
                # Forget the movie first: rows under a heading that cannot be read must not count for the one before.
                title = ""
                title = _heading(fields)
            else:
                rows.append(checked(_raw(fields, title), _LAYOUT.names))
        except ValueError as error:
            bad.meet(f"{place}:{line}", str(error))
    return rows, title


def _heading(fields: Sequence[str]) -> str:
    text = ",".join(fields)
    if not (text[:-1].isascii() and text[:-1].isdecimal()):
        raise ValueError(f"the heading is {text!r}; it must be a movie's number and a colon, such as '1:'")
    return text[:-1]


def _raw(fields: Sequence[str], title: str) -> RawRow:
    if len(fields) != len(_LAYOUT.columns):
        raise ValueError(f"the row is '{','.join(fields)}'; it must be 'movie:' or 'user,rating,date'")
    if not title:
        raise ValueError("the rating stands under no movie; there must be a heading above it, such as '1:'")
    return RawRow(fields[0], title, fields[1], fields[2])
