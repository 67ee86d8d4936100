"""Several small experiments at once: each file is read once, and a user has a place for each that exposed them."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ab_platform.metrics import Measure
from ab_platform.storage.archive import Archive, ArchivedFile, TableName, arrow_schema
from ab_platform.storage.archive.numbering import NUMBERED, Numbering
from ab_platform.storage.days import each_day
from ab_platform.storage.population import Population
from ab_platform.storage.running_totals import measures_of, returns_of
from ab_platform.storage.warehouse import totals_told
from ab_platform.storage.warehouse.answered import Rows
from ab_platform.storage.warehouse.checked import require_whole
from ab_platform.storage.warehouse.daily import grows
from ab_platform.storage.warehouse.grouping import ROWS_AT_ONCE, grouped, row_groups, rows_of
from ab_platform.storage.warehouse.numbered import Deeds, Entered, Ints, in_steps, microseconds, numbers_of, words_of
from ab_platform.storage.warehouse.questions import Cells, ExposedByDay, FirstExposures, Question
from ab_platform.storage.warehouse.running import Span
from ab_platform.storage.warehouse.totals import Day, Totals
from ab_platform.storage.warehouse.user_sums import UserSums, cells_of

_EXPERIMENT, _SURFACE, _ARM, _AT = "experiment", "surface", "arm", "at"


def shares(question: Question) -> bool:
    """Tell whether a question is answered of several experiments at once."""
    return isinstance(question, (Cells, ExposedByDay, FirstExposures)) and grows(question)


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows of several experiments on one day.

    Attributes:
        whose: number of the experiment, (rows,).
        users: numbers, those of one shard after those of another, (rows,).
        rows: the columns.
    """

    whose: Ints
    users: Ints
    rows: pa.Table

    def among(self, wanted: NDArray[np.bool_]) -> _Part:
        """Return some of the rows, (rows,)."""
        return _Part(self.whose[wanted], self.users[wanted], self.rows.filter(pa.array(wanted)))


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Users of experiments: a place for each pair of an experiment and a user whom it exposed.

    Attributes:
        known: `experiment * users + user` of each, sorted, (pairs,).
        users: how many there are.
    """

    known: Ints
    users: int

    def find(self, whose: Ints, users: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the places of pairs, and which of them there are, (rows,) each."""
        wanted = whose * self.users + users
        places = np.searchsorted(self.known, wanted)
        places[places == len(self.known)] = 0
        return places.astype(np.int32), self.known[places] == wanted if len(self.known) else np.zeros(0, dtype=np.bool_)

    def of(self, experiment: int) -> slice:
        """Return where the users of an experiment are."""
        begin, end = np.searchsorted(self.known, [experiment * self.users, (experiment + 1) * self.users])
        return slice(int(begin), int(end))


class SharedTotals:
    """The totals of several experiments through one day.

    Args:
        archive: that has their days.
        populations: of the experiments, alike but for their names and which were before them.
        spans: of the experiments, by key.
        threads: that go through shards side by side.

    Raises:
        StoreError: for a file of the archive that is not as it was published.
    """

    def __init__(
        self, archive: Archive, populations: Sequence[Population], spans: Mapping[str, Span], *, threads: int
    ) -> None:
        self._archive, self._spans, self._threads = archive, spans, threads
        self._populations = sorted(populations, key=lambda each: each.experiment)
        self._keys = [each.experiment for each in self._populations]
        self._alike = self._populations[0]
        self._first = min(spans[key].first for key in self._keys)
        since = self._first - timedelta(days=self._alike.covariate_days if self._alike.earlier else 0)
        self._published = {each.day: each for each in archive.days(since=since, until=self._alike.as_of)}
        files = list(self._every())
        require_whole(archive, files)
        self._numbering = Numbering(archive)
        self._numbering.number(files)
        self._offsets = np.cumsum([0, *(self._numbering.users(shard) for shard in range(archive.shards))]).tolist()

    def rows(self, question: Question) -> Mapping[str, Rows]:
        """Return what some groups of shards answer, as the rows of the question's query, by experiment."""
        found: dict[str, Rows] = defaultdict(list)
        with ThreadPoolExecutor(self._threads) as pool:
            for rows in pool.map(lambda shards: self._answer(question, shards), self._groups):
                for key, own in rows.items():
                    found[key] += own
        return found

    @cached_property
    def _groups(self) -> list[range]:
        """Shards that are gone through together: as many as fit, and at least one a processor."""
        rows = [
            sum(rows_of(str(self._archive.folder / file.path), self._keys) for file in self._every((shard,)))
            for shard in range(self._archive.shards)
        ]
        most = max(rows) + sum(rows) // self._threads  # one shard more, so that none is left over
        return list(grouped(rows, at_most=min(ROWS_AT_ONCE, most)))

    def _every(self, shards: Sequence[int] | None = None) -> Iterator[ArchivedFile]:
        return (file for day in self._published for table in NUMBERED for file in self._files(table, day, shards))

    def _files(self, table: TableName, day: date, shards: Sequence[int] | None = None) -> list[ArchivedFile]:
        """Return the files of a day that are read; before the first experiment it is what users did."""
        published = self._published.get(day)
        if published is None or (table == "exposures" and day < self._first):
            return []
        return [file for file in published.of(table) if shards is None or file.shard in shards]

    def _answer(self, question: Question, shards: Sequence[int]) -> dict[str, Rows]:
        columns = {each for family in question.families for each in family} if isinstance(question, Cells) else set()
        pairs, totals = self._totals(shards, measures_of(columns), returns_of(columns))
        found: dict[str, Rows] = {}
        for number, key in enumerate(self._keys):
            own = totals.part(pairs.of(number))
            match question:
                case Cells(families):
                    found[key] = cells_of(UserSums(own, families).everybody())
                case ExposedByDay():
                    found[key] = list(totals_told.exposed_by_day(own, self._first))
                case _:
                    found[key] = list(totals_told.first_exposures(own, self._first))
        return found

    def _totals(
        self, shards: Sequence[int], measures: frozenset[Measure], returns: frozenset[int]
    ) -> tuple[_Pairs, Totals]:
        """Go through the days of some shards."""
        days = list(each_day(self._first, self._alike.as_of))
        ends = np.array([microseconds(self._spans[key].ends) for key in self._keys])
        exposed = {day: self._part("exposures", day, shards, self._keys, [_SURFACE, _ARM, _AT]) for day in days}
        for day, part in exposed.items():
            exposed[day] = part.among(numbers_of(part.rows[_AT].cast(pa.int64())) < ends[part.whose])
        users = self._offsets[-1]
        known = np.concatenate([part.whose * users + part.users for part in exposed.values()])
        pairs = _Pairs(np.unique(known), users)
        totals = Totals.of_nobody(measures, returns)
        totals = totals.with_room([np.arange(len(pairs.known), dtype=np.int32)], users=len(pairs.known))
        for day, part in exposed.items():
            places, _ = pairs.find(part.whose, part.users)
            entered = Entered(places, words_of(part.rows[_SURFACE]), words_of(part.rows[_ARM]))
            totals.take(Day(entered, self._deeds(day, shards, pairs, totals.needed)))
        if measures and self._alike.earlier:
            self._look_back(shards, pairs, totals)
        self._let_leave(shards, pairs, totals)
        return pairs, totals

    def _deeds(self, day: date, shards: Sequence[int], pairs: _Pairs, measures: Sequence[Measure]) -> Deeds:
        """Read what users did on a day, of those who entered on any."""
        if not measures:
            return Deeds.none(measures)
        part = self._part("user_days", day, shards, self._keys, [_SURFACE, *measures])
        places, there = pairs.find(part.whose, part.users)
        return _deeds(part.rows, places, measures).among(there)

    def _look_back(self, shards: Sequence[int], pairs: _Pairs, totals: Totals) -> None:
        """Add up what users did before they entered, in the experiments before each."""
        earlier = sorted({key for each in self._populations for key in each.earlier})
        before = _before(earlier, self._populations)
        reach, cells = self._alike.covariate_days, len(totals.users) * len(totals.surfaces)
        found = {name: np.zeros(cells, dtype=np.int64) for name in ("known", *totals.measures)}
        entered = totals.column("entered").astype(np.int64)
        for day in each_day(self._first - timedelta(days=reach), self._alike.as_of):
            part = self._part("user_days", day, shards, earlier, [_SURFACE, *totals.measures])
            number = (day - self._first).days
            for whose in before:
                places, there = pairs.find(whose[part.whose], part.users)
                done = _deeds(part.rows, places, totals.measures)
                done = done.among(there & (whose[part.whose] >= 0) & done.surfaces.are(totals.surfaces))
                at = totals.at(done.users, done.surfaces)
                after = entered[at.cells] - number
                counts = entered[at.cells] >= 0
                if not self._alike.ended_before:
                    counts &= (after > 0) & (after <= reach)
                found["known"][at.cells[counts]] = 1
                for measure, values in done.measures.items():
                    np.add.at(found[measure], at.cells[counts], values[counts])
        for name, values in found.items():
            of = name if name == "known" else f"before_{name}"
            totals.columns[of] = values.reshape(len(totals.surfaces), -1)

    def _let_leave(self, shards: Sequence[int], pairs: _Pairs, totals: Totals) -> None:
        """Note who was seen in a second arm."""
        left = {
            number: {user for day, of in self._spans[key].left.items() if day <= self._alike.as_of for user in of}
            for number, key in enumerate(self._keys)
        }
        every = sorted(set().union(*left.values()))
        for shard in shards:
            numbers = self._numbering.find(shard, every)
            for experiment, users in left.items():
                theirs = np.array([numbers[user] for user in users & numbers.keys()], dtype=np.int64)
                places, there = pairs.find(np.full(len(theirs), experiment), self._offsets[shard] + theirs)
                totals.left[places[there]] = True

    def _part(
        self, table: TableName, day: date, shards: Sequence[int], keys: Sequence[str], columns: Sequence[str]
    ) -> _Part:
        """Read the rows of some experiments on a day."""
        read = [self._read(file, keys, columns) for file in self._files(table, day, shards)]
        whose = [_whose(rows[_EXPERIMENT], keys) for rows, _ in read]
        empty = np.zeros(0, dtype=np.int64)
        rows = pa.concat_tables([rows for rows, _ in read]) if read else _no_rows(table, columns)
        part = _Part(np.concatenate([empty, *whose]), np.concatenate([empty, *(users for _, users in read)]), rows)
        return part if (part.whose >= 0).all() else part.among(part.whose >= 0)

    def _read(self, file: ArchivedFile, keys: Sequence[str], columns: Sequence[str]) -> tuple[pa.Table, Ints]:
        """Read the row groups of a file that may have rows of some experiments, and the numbers of their users."""
        path, numbers, begin = self._archive.folder / file.path, self._numbering.of(file), 0
        groups, users = [], []
        for group, (rows, low, high) in enumerate(row_groups(str(path))):
            if _iseach_day(keys, low, high):
                groups.append(group)
                users.append(numbers[begin : begin + rows])
            begin += rows
        opened = pq.ParquetFile(path, memory_map=True, read_dictionary=[_EXPERIMENT, _SURFACE, _ARM])
        read = opened.read_row_groups(groups, columns=[_EXPERIMENT, *columns], use_threads=False)
        return read, np.concatenate([np.zeros(0, dtype=np.int64), *users]) + self._offsets[file.shard]


def _deeds(rows: pa.Table, places: Ints, measures: Sequence[Measure]) -> Deeds:
    done: dict[str, Ints] = {measure: in_steps(numbers_of(rows[measure]), measure) for measure in measures}
    return Deeds(places.astype(np.int32), words_of(rows[_SURFACE]), done)


def _whose(column: pa.ChunkedArray, keys: Sequence[str]) -> Ints:
    """Return the place of each row's experiment among some, and -1 of others."""
    experiments, place = words_of(column), {key: number for number, key in enumerate(keys)}
    numbers = np.array([place.get(each, -1) for each in experiments.words], dtype=np.int64)
    return numbers[experiments.codes]


def _before(earlier: Sequence[str], populations: Sequence[Population]) -> list[Ints]:
    """Return of each earlier experiment one that it was before, then a further one, and so on; -1 for none."""
    later = [[number for number, each in enumerate(populations) if key in each.earlier] for key in earlier]
    most = max(map(len, later), default=0)
    return [np.array([each[place] if place < len(each) else -1 for each in later]) for place in range(most)]


def _iseach_day(keys: Sequence[str], low: str, high: str) -> bool:
    place = bisect_left(keys, low)
    return place < len(keys) and keys[place] <= high


def _no_rows(table: TableName, columns: Sequence[str]) -> pa.Table:
    words = pa.dictionary(pa.int32(), pa.string())
    kinds = arrow_schema(table)
    named = [(name, words if name in (_SURFACE, _ARM) else kinds.field(name).type) for name in columns]
    return pa.schema(named).empty_table()
