"""MovieLens as GroupLens publishes it: 1M and 10M with `::`, all later ones as CSV; zipped or unpacked.

F. Maxwell Harper and Joseph A. Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ab_platform.datasets.delimited import Layout, read
from ab_platform.datasets.files import Member, content_hash, first_line, numbered_lines
from ab_platform.datasets.source import BadRows, Batch, Tick, Unit
from ab_platform.errors import DataError
from ab_platform.lineage import Title

_COLUMNS = ("userId", "movieId", "rating", "timestamp")
_DAT = Layout("::", _COLUMNS, user=0, title=1, rating=2, at=3)
_CSV = Layout(",", _COLUMNS, user=0, title=1, rating=2, at=3, quoted=True, header=True)

# "Toy Story (1995)", "Fawlty Towers (1975-1979)", "Big Bang Theory, The (2007-)": the first year counts.
_YEAR = re.compile(r"(?P<title>.*\S)\s*\((?P<year>\d{4})(?:[-–]\d{0,4})?\)\s*")
_NO_GENRES = "(no genres listed)"


@dataclass(frozen=True)
class MovieLens:
    """Ratings and movies.

    Attributes:
        name: the data set's name.
        place: where it comes from.
        ratings: `ratings.dat` or `ratings.csv`.
        movies: `movies.dat` or `movies.csv`.
    """

    name: str
    place: str
    ratings: Member
    movies: Member

    @property
    def unit(self) -> Unit:
        """Return bytes."""
        return "bytes"

    @property
    def size(self) -> int:
        """Return the bytes of the ratings."""
        return self.ratings.size

    def content_hash(self, tick: Tick) -> str:
        """Return the sha256 of ratings and movies."""
        return content_hash((self.ratings, self.movies), tick)

    def titles(self, bad: BadRows) -> Iterator[Title]:
        """Yield the movies."""
        for line, fields in _movie_rows(self.movies):
            try:
                yield _movie(fields)
            except ValueError as error:
                bad.meet(f"{self.movies.name}:{line}", str(error))

    def batches(self, bad: BadRows) -> Iterator[Batch]:
        """Yield the ratings."""
        return read(self.ratings, _DAT if self.ratings.name.endswith(".dat") else _CSV, bad)


def find(files: Sequence[Member], *, name: str, place: str) -> MovieLens | None:
    """Recognise MovieLens by its files, whatever the folder above them is called.

    Raises:
        DataError: there are ratings in MovieLens' layout and no movies beside them, or ratings in several places.
    """
    ratings = [file for file in files if _is_ratings(file)]
    if not ratings:
        return None
    if len(ratings) > 1:
        some = " and ".join(file.place for file in ratings[:2])
        raise DataError(f"{place} holds several data sets ({some}); give the folder or file of one of them")
    kind = ratings[0].name.rpartition(".")[2]
    beside = (file for file in files if file.folder == ratings[0].folder and file.name == f"movies.{kind}")
    movies = next(beside, None)
    if movies is None:
        raise DataError(f"{place} holds {ratings[0].name} and no movies.{kind}; put both files in one folder")
    return MovieLens(name, place, ratings[0], movies)


def _is_ratings(file: Member) -> bool:
    return file.name == "ratings.dat" or (file.name == "ratings.csv" and first_line(file) == ",".join(_COLUMNS))


def _movie_rows(member: Member) -> Iterator[tuple[int, list[str]]]:
    lines = numbered_lines(member)
    if member.name.endswith(".dat"):
        return ((line, text.split("::")) for line, text in lines)
    # No movie goes over several lines, so a line at a time is enough and keeps the number right.
    return ((line, next(csv.reader([text]))) for line, text in lines if line > 1)


def _movie(fields: Sequence[str]) -> Title:
    """Build a title from id, title with year, and genres.

    Raises:
        ValueError: another number of fields, or no id.
    """
    if len(fields) != 3 or not fields[0]:
        raise ValueError(f"the row is {list(fields)}; it must have a movie id, a title and genres")
    title_id, titled, genres = fields
    dated = _YEAR.fullmatch(titled)
    return Title(
        title_id=title_id,
        title=dated["title"] if dated else titled.strip() or title_id,
        genres=() if genres in ("", _NO_GENRES) else tuple(genres.split("|")),
        year=int(dated["year"]) if dated else None,
    )
