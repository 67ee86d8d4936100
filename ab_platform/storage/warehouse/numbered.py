"""What one file of the archive says of one experiment, as arrays, with the users' numbers in place of their ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ab_platform.metrics import STEPS, Measure
from ab_platform.storage.archive import Archive, ArchivedFile
from ab_platform.storage.archive.numbering import Numbering, Numbers

Ints = NDArray[np.signedinteger]

_EXPERIMENT, _SURFACE, _ARM, _AT, _LAST_AT = "experiment", "surface", "arm", "at", "last_at"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COUNTS = ("impressions", "slates", "fallback_slates")
_NO_USERS: Numbers = np.zeros(0, dtype=np.int32)
_LAST = "\U0010ffff"


@dataclass(frozen=True, eq=False)
class Words:
    """A column of few different words.

    Attributes:
        words: each once; some may be nobody's.
        codes: places among them, (rows,).
    """

    words: tuple[str, ...]
    codes: Ints

    @classmethod
    def none(cls) -> Words:
        """Return no row."""
        return cls((), np.zeros(0, dtype=np.int32))

    def are(self, some: Collection[str]) -> NDArray[np.bool_]:
        """Tell of each row whether its word is among some, (rows,)."""
        return np.array([word in some for word in self.words], dtype=np.bool_)[self.codes]

    def among(self, wanted: NDArray[np.bool_]) -> Words:
        """Return some of the rows, (rows,)."""
        return Words(self.words, self.codes[wanted])


@dataclass(frozen=True, eq=False)
class Entered:
    """Who was exposed, where.

    Attributes:
        users: numbers, (rows,).
        surfaces: (rows,); a user is there once at most.
        arms: (rows,).
    """

    users: Numbers
    surfaces: Words
    arms: Words

    @classmethod
    def nobody(cls) -> Entered:
        """Return that nobody was."""
        return cls(_NO_USERS, Words.none(), Words.none())

    def among(self, wanted: NDArray[np.bool_]) -> Entered:
        """Return some of the rows, (rows,)."""
        return Entered(self.users[wanted], self.surfaces.among(wanted), self.arms.among(wanted))


@dataclass(frozen=True, eq=False)
class Deeds:
    """What users did, where.

    Attributes:
        users: numbers, (rows,).
        surfaces: (rows,); a user is there once at most.
        measures: in whole steps, each (rows,).
    """

    users: Numbers
    surfaces: Words
    measures: Mapping[str, Ints]

    @classmethod
    def none(cls, measures: Iterable[Measure]) -> Deeds:
        """Return that nobody did anything."""
        return cls(_NO_USERS, Words.none(), {measure: np.zeros(0, dtype=np.int64) for measure in measures})

    def among(self, wanted: NDArray[np.bool_]) -> Deeds:
        """Return some of the rows, (rows,)."""
        measures = {measure: values[wanted] for measure, values in self.measures.items()}
        return Deeds(self.users[wanted], self.surfaces.among(wanted), measures)


class _Run(NamedTuple):
    """Rows of an experiment in one row group, and how many rows lie before the group."""

    group: int
    before: int
    begin: int
    end: int


_NOWHERE = _Run(0, 0, 0, 0)


class NumberedFile:
    """The rows of one experiment in one file.

    Args:
        archive: that has the file.
        numbering: of its users.
        file: of exposures or user-days.
        experiment: whose rows are read.
    """

    def __init__(self, archive: Archive, numbering: Numbering, file: ArchivedFile, experiment: str) -> None:
        self._parquet = pq.ParquetFile(archive.folder / file.path, memory_map=True, read_dictionary=[_SURFACE, _ARM])
        self._runs = tuple(_runs(self._parquet, experiment))
        begin, end = (self._runs[0], self._runs[-1]) if self._runs else (_NOWHERE, _NOWHERE)
        self._skipped = begin.begin
        self.users: Numbers = numbering.of(file)[begin.before + begin.begin : end.before + end.end]

    def entered(self, until: datetime) -> Entered:
        """Return who was exposed before a moment."""
        rows = self._read([_SURFACE, _ARM, _AT])
        early = numbers_of(rows[_AT].cast(pa.int64())) < microseconds(until)
        found = Entered(self.users, words_of(rows[_SURFACE]), words_of(rows[_ARM]))
        return found if early.all() else found.among(early)

    def deeds(self, measures: Sequence[Measure]) -> Deeds:
        """Return what users did."""
        rows = self._read([_SURFACE, *measures])
        done: dict[str, Ints] = {measure: in_steps(numbers_of(rows[measure]), measure) for measure in measures}
        return Deeds(self.users, words_of(rows[_SURFACE]), done)

    def counts(self) -> Iterator[dict[str, Any]]:
        """Count the user-days of each (surface, arm), as the query `day_counts.counted` does."""
        rows = self._read([_SURFACE, _ARM, *_COUNTS, _LAST_AT])
        surfaces, arms = words_of(rows[_SURFACE]), words_of(rows[_ARM])
        group = surfaces.codes * len(arms.words) + arms.codes
        pairs = list(product(surfaces.words, arms.words))
        users = np.bincount(group, minlength=len(pairs))
        totals = {name: np.bincount(group, numbers_of(rows[name]), len(pairs)).astype(np.int64) for name in _COUNTS}
        newest = np.zeros(len(pairs), dtype=np.int64)
        np.maximum.at(newest, group, numbers_of(rows[_LAST_AT].cast(pa.int64())))
        for place in np.flatnonzero(users).tolist():
            surface, arm = pairs[place]
            last_at = (_EPOCH + timedelta(microseconds=int(newest[place]))).isoformat()
            told = {name: int(values[place]) for name, values in totals.items()}
            yield {"surface": surface, "arm": arm, "users": int(users[place]), **told, "last_at": last_at}

    def _read(self, columns: Sequence[str]) -> pa.Table:
        groups = [run.group for run in self._runs]
        read = self._parquet.read_row_groups(groups, columns=list(columns), use_threads=False)
        return read.slice(self._skipped, len(self.users))


def _runs(parquet: pq.ParquetFile, experiment: str) -> Iterator[_Run]:
    """Find an experiment's rows, which lie together; they are read only where it shares a row group."""
    column, before = parquet.schema_arrow.get_field_index(_EXPERIMENT), 0
    for group in range(parquet.num_row_groups):
        told = parquet.metadata.row_group(group)
        span = told.column(column).statistics
        low, high = (span.min, span.max) if span is not None and span.has_min_max else ("", _LAST)
        if low == high == experiment:
            yield _Run(group, before, 0, told.num_rows)
        elif low <= experiment <= high:
            named = parquet.read_row_group(group, columns=[_EXPERIMENT], use_threads=False)[_EXPERIMENT]
            theirs = numbers_of(pc.indices_nonzero(pc.equal(named, experiment)))
            if len(theirs):
                yield _Run(group, before, int(theirs[0]), int(theirs[-1]) + 1)
        before += told.num_rows


def numbers_of(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Return a column without empty values as an array, which is not copied where it is in one piece.

    Its own `to_numpy` would load pandas.
    """
    found: NDArray[Any] = np.from_dlpack(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    return found


def words_of(column: pa.ChunkedArray) -> Words:
    """Return a column that was read as a dictionary."""
    whole = column.unify_dictionaries().combine_chunks()
    return Words(tuple(whole.dictionary.to_pylist()), numbers_of(whole.indices))


def microseconds(moment: datetime) -> int:
    """Return a moment as the archive has it."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def in_steps(values: NDArray[Any], measure: Measure) -> Ints:
    """Return values as whole steps, as DuckDB does with `described.in_steps`: a half goes up."""
    if measure not in STEPS:
        return values
    found: Ints = np.floor(values * STEPS[measure] + 0.5).astype(np.int64)
    return found
