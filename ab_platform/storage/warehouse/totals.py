"""The totals of one shard's users through a day, as arrays with a place a user."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ab_platform.metrics import Measure
from ab_platform.storage.archive import sealed
from ab_platform.storage.archive.numbering import Numbers
from ab_platform.storage.warehouse.numbered import Deeds, Entered, Ints, Words, numbers_of

_Kind = TypeVar("_Kind", bound=np.generic)

NOBODY = -1
"""The arm of a user who was not exposed on a surface, and the place of one who has none."""

_USER, _LEFT, _ARM, _ENTERED, _KNOWN = "user", "left", "arm", "entered", "known"
_THROUGH = "through"
_NOWHERE = np.zeros(0, dtype=np.intp)
_WORDS = ("measures", "returns", "surfaces", "arms")


@dataclass(frozen=True, eq=False)
class Day:
    """What a day adds.

    Attributes:
        entered: who was exposed on it.
        deeds: what users did.
        left: numbers of users who were seen in a second arm on it.
    """

    entered: Entered
    deeds: Deeds
    left: Numbers = field(default_factory=lambda: np.zeros(0, dtype=np.int32))


class At(NamedTuple):
    """Users on surfaces: places of the users, numbers of the surfaces, and places in a whole column; each (rows,)."""

    users: Ints
    surfaces: Ints
    cells: Ints


class Found(NamedTuple):
    """Where the users of a day are: those who entered on it, and those who came."""

    entered: At
    came: At


@dataclass(eq=False)
class Totals:
    """What users did, through a day.

    Attributes:
        measures: that are totalled.
        returns: after how many days it is noted whether users were there.
        users: their numbers, as they came, (users,).
        left: whether a second arm was seen, (users,).
        surfaces: names, by number.
        arms: names, by number.
        columns: each (surfaces, users): `arm` by number, the day they `entered` by its number, `known`,
            `before_MEASURE`, `now_MEASURE` and `returned_DAYS`. Whole numbers of as few bytes as hold them.
        through: number of the last day; the experiment's first has 0.
        places: of users by their numbers, `NOBODY` for one without; only where days are taken.
    """

    measures: tuple[Measure, ...]
    returns: tuple[int, ...]
    users: Numbers
    left: NDArray[np.bool_]
    surfaces: list[str] = field(default_factory=list)
    arms: list[str] = field(default_factory=list)
    columns: dict[str, Ints] = field(default_factory=dict)
    through: int = -1
    places: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    @classmethod
    def of_nobody(cls, measures: Iterable[Measure], returns: Iterable[int] = ()) -> Totals:
        """Return the totals before the first day."""
        kept, after = tuple(sorted(measures)), tuple(sorted(returns))
        names = [_ARM, _ENTERED, _KNOWN, *(f"returned_{days}" for days in after)]
        names += [f"{when}_{measure}" for measure in kept for when in ("before", "now")]
        columns = {name: np.zeros((0, 0), dtype=np.int8) for name in names}
        return cls(kept, after, np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.bool_), columns=columns)

    def tell(self, measures: Collection[Measure], returns: Collection[int]) -> bool:
        """Tell whether they have some measures and returns."""
        return set(measures) <= set(self.measures) and set(returns) <= set(self.returns)

    def with_room(self, numbers: Iterable[Numbers], *, users: int) -> Totals:
        """Return a copy that takes days.

        Args:
            numbers: of everybody who comes on these days, in any order, also repeatedly.
            users: how many there are in the shard; every number is below it.
        """
        places = self.placed(users).places
        come = np.zeros(users, dtype=np.bool_)
        for each in numbers:
            come[each[places.take(each) == NOBODY]] = True
        new = np.flatnonzero(come).astype(np.int32)
        every: Numbers = np.concatenate([self.users, new])
        places[new] = np.arange(len(self.users), len(every), dtype=np.int32)
        columns = {name: _longer(values, len(every), fill=_empty(name)) for name, values in self.columns.items()}
        left = _longer(self.left[None], len(every), fill=0)[0]
        words = (list(self.surfaces), list(self.arms))
        return Totals(self.measures, self.returns, every, left, *words, columns, self.through, places)

    def placed(self, users: int) -> Totals:
        """Return the same with the places of users, of whom there are so many in the shard."""
        places = np.full(users, NOBODY, dtype=np.int32)
        places[self.users] = np.arange(len(self.users), dtype=np.int32)
        return replace(self, places=places)

    @property
    def needed(self) -> tuple[Measure, ...]:
        """Measures that are needed of a day."""
        return tuple(sorted({*self.measures, *(("impressions",) if self.returns else ())}))

    def column(self, name: str) -> Ints:
        """Return a column of all surfaces, one after another, (surfaces * users,); what is written there stays."""
        return self.columns[name].reshape(-1)

    def at(self, users: Numbers, surfaces: Words) -> At:
        """Find users, by their numbers, on surfaces, of which some may be new; one that no row has is not begun."""
        for code, name in enumerate(surfaces.words):
            if name not in self.surfaces and (surfaces.codes == code).any():
                self.surfaces.append(name)
                self.columns = {of: np.concatenate([each, self._blank(of)]) for of, each in self.columns.items()}
        known = {name: number for number, name in enumerate(self.surfaces)}
        number = np.array([known.get(name, NOBODY) for name in surfaces.words], dtype=np.intp)
        places = self.places.take(users)
        cells = (number * len(self.users)).take(surfaces.codes) + places
        return At(places, number.astype(np.int16).take(surfaces.codes), cells)

    def at_cells(self, cells: Ints) -> At:
        """Find users on surfaces by their places in a column."""
        return At(cells % len(self.users), cells // len(self.users), cells)

    def part(self, users: slice) -> Totals:
        """Return the totals of some users who follow each other, that take no days."""
        columns = {name: np.ascontiguousarray(each[:, users]) for name, each in self.columns.items()}
        return replace(self, users=self.users[users], left=self.left[users], columns=columns)

    def cells_of(self, numbers: Numbers) -> Ints:
        """Return the places of users on every surface."""
        surfaces = np.arange(len(self.surfaces))[:, None]
        cells: Ints = (surfaces * len(self.users) + self.places[numbers]).reshape(-1)
        return cells

    def counting(self, at: At) -> Ints:
        """Return the arm of users who count, by number, and `NOBODY` of others."""
        return np.where(self.left.take(at.users), NOBODY, self.column(_ARM).take(at.cells))

    def remember(self, done: Deeds) -> None:
        """Add to what users had done before they entered."""
        at = self.at(done.users, done.surfaces)
        self.column(_KNOWN)[at.cells] = 1
        for measure, values in done.measures.items():
            self._add(f"before_{measure}", at.cells, values)

    def forget_before(self, entered: Entered) -> None:
        """Take away what is known of users from before they entered."""
        at = self.at(entered.users, entered.surfaces)
        for name in (_KNOWN, *(f"before_{measure}" for measure in self.measures)):
            self.column(name)[at.cells] = 0

    def find(self, day: Day) -> Found:
        """Find the users of a day, of whom everyone has a place."""
        entered = self.at(day.entered.users, day.entered.surfaces)
        return Found(entered, self.at(day.deeds.users, day.deeds.surfaces))

    def take(self, day: Day, found: Found | None = None) -> None:
        """Take a day on, whose users may have been found before."""
        entered, came = found or self.find(day)
        self.through += 1
        self.left[self.places[day.left]] = True
        there = came.cells[day.deeds.measures["impressions"] > 0] if self.returns else came.cells
        for days in (each for each in self.returns if each <= self.through):
            back = there[self.column(_ENTERED).take(there) == self.through - days]
            self.column(f"returned_{days}")[back] = 1
        for measure in self.measures:
            self._add(f"now_{measure}", came.cells, day.deeds.measures[measure])
        self._enter(entered, day.entered.arms)

    def write(self, path: Path) -> None:
        """Write the totals into a file of Arrow's, an array a list, which are read without being copied."""
        arrays: dict[str, Ints] = {_USER: self.users, _LEFT: self.left.view(np.int8), **self.columns}
        words: Mapping[str, Iterable[object]] = {name: getattr(self, name) for name in _WORDS}
        told = {name: "\n".join(map(str, of)) for name, of in words.items()} | {_THROUGH: str(self.through)}
        rows = pa.table({name: _listed(each) for name, each in arrays.items()}).replace_schema_metadata(told)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows)
        sealed.seal(path)

    @classmethod
    def read(cls, path: Path) -> Totals:
        """Read what was written.

        Raises:
            OSError: where it is not there.
            ValueError: where it is not as it was written.
        """
        rows = pa.ipc.open_file(sealed.read(path)).read_all()
        told = {name.decode(): words.decode() for name, words in rows.schema.metadata.items()}
        measures, returns, surfaces, arms = (list(filter(None, told[name].split("\n"))) for name in _WORDS)
        arrays = {name: numbers_of(rows[name].chunk(0).values) for name in rows.column_names}
        users, left = arrays.pop(_USER), arrays.pop(_LEFT).view(np.bool_)
        columns = {name: each.reshape(len(surfaces), len(users)) for name, each in arrays.items()}
        through = int(told[_THROUGH])
        return cls(tuple(measures), tuple(map(int, returns)), users, left, surfaces, arms, columns, through)

    def entered_before(self, days: int) -> Ints:
        """Return the cells of users who entered so many days before the last one."""
        return np.flatnonzero(self.column(_ENTERED) == self.through - days) if self.through >= days else _NOWHERE

    def _blank(self, name: str) -> Ints:
        return np.full((1, len(self.users)), _empty(name), dtype=self.columns[name].dtype)

    def _enter(self, at: At, arms: Words) -> None:
        self.arms += [name for name in arms.words if name not in self.arms]
        codes = np.array([self.arms.index(name) for name in arms.words], dtype=np.int16).take(arms.codes)
        for name, values in ((_ARM, codes), (_ENTERED, np.full(len(codes), self.through))):
            self._widen(name, values)
            self.column(name)[at.cells] = values

    def _add(self, name: str, cells: Ints, values: Ints) -> None:
        """Add to a column what users did, of whom most may have done nothing."""
        some = np.flatnonzero(values)
        if len(some) < len(values):
            cells, values = cells[some], values[some]
        total = self.column(name).take(cells) + values
        self._widen(name, total)
        self.column(name)[cells] = total

    def _widen(self, name: str, values: Ints) -> None:
        """Let a column take as many bytes as some values need."""
        if len(values):
            needed = np.min_scalar_type(-int(np.abs(values).max()) - 1)
            kind = np.promote_types(needed, self.columns[name].dtype)
            self.columns[name] = self.columns[name].astype(kind, copy=False)


def _empty(name: str) -> int:
    return NOBODY if name in (_ARM, _ENTERED) else 0


def _longer(values: NDArray[_Kind], length: int, *, fill: int) -> NDArray[_Kind]:
    """Return a copy of (rows, users) with more users, the new ones alike."""
    found = np.empty((len(values), length), dtype=values.dtype)
    found[:, : values.shape[1]] = values
    found[:, values.shape[1] :] = fill
    return found


def _listed(values: Ints) -> pa.Array:
    """Return an array as one list of Arrow's."""
    kind = pa.from_numpy_dtype(values.dtype)
    items = pa.Array.from_buffers(kind, values.size, [None, pa.py_buffer(np.ascontiguousarray(values))])
    ends = pa.py_buffer(np.array([0, values.size], dtype=np.int64))
    return pa.Array.from_buffers(pa.large_list(kind), 1, [None, ends], children=[items])
