"""The totals of one shard's users through a day, as arrays: a day more touches those who came, and nobody else.

Let x be the columns of a user who counts, such as what was watched and what had been watched before. The exact sums
are those of x x', over users. A day changes them by x x' after the day less x x' before it, over the users who came,
entered or left. All of it is integers, so it is what `per_user.sums` gives, to the digit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ab_platform.errors import StoreError
from ab_platform.metrics import Measure
from ab_platform.storage import per_user
from ab_platform.storage.per_user import PerUser
from ab_platform.storage.running_totals import stored_as

Families = Sequence[Sequence[PerUser]]
_Kind = TypeVar("_Kind", bound=np.generic)
Ints = NDArray[np.signedinteger]

Sums = Counter[tuple[str, str, str]]
"""By (surface, arm, name of a sum in `per_user.sums`)."""

USERS_AT_ONCE = 1 << 17
"""Whose columns are multiplied at once, while they are near the processor."""

_NONE = np.zeros(0, dtype=np.int64)

NOBODY = -1
"""The arm of a user who was not exposed on a surface."""

EXACT_IN_FLOATS = 2.0**53
"""Whole numbers up to it are floats, and so are their sums up to it."""

_NAMES = ("surfaces", "arms", "measures")
_USER, _ORDER, _LEFT, _ARM, _KNOWN = "user_id", "order", "left", "arm", "known"


@dataclass(frozen=True, eq=False)
class Day:
    """What a day adds.

    Attributes:
        entered: who was exposed on it, (user_id, surface, arm).
        deeds: what users did, (user_id, surface, measures in whole steps).
        before: what users had done before their exposure, (user_id, surface, known, measures); None where nothing is
            new of that.
        left: ids of users who were seen in a second arm on it.
    """

    entered: pa.Table
    deeds: pa.Table
    before: pa.Table | None = None
    left: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows of a day: the places of their users, and which of them are of a surface."""

    rows: pa.Table
    places: Ints
    on: Mapping[str, Ints]

    def places_on(self, surface: str) -> Ints:
        return self.places[self.on.get(surface, _NONE)]

    def column(self, surface: str, name: str) -> tuple[Ints, Ints]:
        return self.places_on(surface), _numbers(self.rows[name])[self.on.get(surface, _NONE)]


@dataclass(frozen=True, eq=False)
class _Came:
    """What a day adds, by the places of the users; see `Day`."""

    entered: _Part
    deeds: _Part
    before: _Part | None
    left: Ints

    @property
    def parts(self) -> tuple[_Part, ...]:
        return (self.entered, self.deeds, *(() if self.before is None else (self.before,)))


@dataclass(frozen=True, eq=False)
class Totals:
    """What users did, through a day.

    Attributes:
        measures: that are totalled.
        users: their ids in bytes, as they came, (users,).
        order: places of the users in the order of their ids, (users,).
        left: whether a second arm was seen, (users,).
        surfaces: names of those that anybody was seen on.
        arms: names, by number.
        columns: by surface, each (users,): `arm` by number, `known`, `before_MEASURE` and `now_MEASURE`. Whole numbers
            of as few bytes as hold them.
    """

    measures: tuple[Measure, ...]
    users: NDArray[np.bytes_]
    order: Ints
    left: NDArray[np.bool_]
    surfaces: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    columns: Mapping[str, dict[str, Ints]] = field(default_factory=dict)

    @classmethod
    def of_nobody(cls, measures: Sequence[Measure]) -> Totals:
        """Return the totals before the first day."""
        nobody = np.zeros(0, dtype=np.int64)
        return cls(tuple(measures), np.array([], dtype=np.bytes_), nobody, nobody.astype(np.bool_))

    def sums(self, families: Families) -> Sums:
        """Add up all users who count."""
        found: Sums = Counter()
        for surface in self.surfaces:
            found.update(self._sums(families, surface, np.arange(len(self.left))))
        return found

    def stepped(self, day: Day, families: Families) -> tuple[Totals, Sums]:
        """Return the totals with a day more, and by how much it changed the sums of some columns."""
        grown, came = self._grown(day)
        touched = grown._touched(came)
        was = {surface: grown._sums(families, surface, rows) for surface, rows in touched.items()}
        grown._take(came)
        change: Sums = Counter()
        for surface, rows in touched.items():
            change.update(grown._sums(families, surface, rows))
            change.subtract(was[surface])
        return grown, change

    def write(self, path: Path) -> None:
        """Write the totals into a file of Arrow's, whose columns are read without being copied."""
        named = {f"{surface}/{name}": each for surface in self.surfaces for name, each in self.columns[surface].items()}
        arrays = [_fixed(self.users), *map(pa.array, (self.order, self.left.view(np.int8), *named.values()))]
        told = {
            "surfaces": "\n".join(self.surfaces),
            "arms": "\n".join(self.arms),
            "measures": "\n".join(self.measures),
        }
        rows = pa.table(arrays, names=[_USER, _ORDER, _LEFT, *named]).replace_schema_metadata(told)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows)

    @classmethod
    def read(cls, path: Path) -> Totals:
        """Read what was written.

        Raises:
            OSError: where it is not there.
            ValueError: where it is cut short.
        """
        rows = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        told = {key.decode(): tuple(value.decode().split("\n")) for key, value in rows.schema.metadata.items()}
        surfaces, arms, measures = (tuple(filter(None, told[name])) for name in _NAMES)
        columns: dict[str, dict[str, Ints]] = {surface: {} for surface in surfaces}
        for name in rows.column_names[3:]:
            surface, _, column = name.rpartition("/")
            columns[surface][column] = _numbers(rows[name])
        left = _numbers(rows[_LEFT]).view(np.bool_)
        return cls(measures, _unfixed(rows[_USER]), _numbers(rows[_ORDER]), left, surfaces, arms, columns)

    def _grown(self, day: Day) -> tuple[Totals, _Came]:
        """Return a copy with room for what a day brings, and where that goes."""
        tables = [day.entered, day.deeds, *([] if day.before is None else [day.before])]
        named = [_ids(rows[_USER]) for rows in tables]
        named.append(np.array([user.encode() for user in day.left], dtype=np.bytes_))
        every = np.concatenate(named)
        place, new = self._places(every)
        ends = np.cumsum([len(each) for each in named])
        *places, left = np.split(place, ends[:-1])
        parts = [_Part(rows, of, _by_surface(rows)) for rows, of in zip(tables, places, strict=True)]
        came = _Came(parts[0], parts[1], parts[2] if day.before is not None else None, left)
        slots = np.searchsorted(self.users, new, sorter=self.order)
        order = np.insert(self.order, slots, len(self.users) + np.arange(len(new)))
        users = np.concatenate([self.users, new])
        return self._with_room(came, users, order), came

    def _places(self, ids: NDArray[np.bytes_]) -> tuple[Ints, NDArray[np.bytes_]]:
        """Return the place of each id, and the ids that are new, sorted; these come after all others."""
        at = np.searchsorted(self.users, ids, sorter=self.order)
        standing = at < len(self.users)
        place = np.full(len(ids), NOBODY, dtype=np.int64)
        place[standing] = self.order[at[standing]]
        standing[standing] = self.users[place[standing]] == ids[standing]
        new = np.unique(ids[~standing])
        place[~standing] = len(self.users) + np.searchsorted(new, ids[~standing])
        return place, new

    def _with_room(self, came: _Came, users: NDArray[np.bytes_], order: Ints) -> Totals:
        """Return a copy with more users, and every surface and arm of a day."""
        seen = sorted({surface for part in came.parts for surface in part.on})
        surfaces = tuple(dict.fromkeys((*self.surfaces, *seen)))
        arms = tuple(dict.fromkeys((*self.arms, *sorted(came.entered.rows[_ARM].unique().to_pylist()))))
        empty = {name: np.zeros(0, dtype=np.int8) for name in self._column_names()}
        columns = {
            surface: {
                name: _longer(values, len(users), fill=NOBODY if name == _ARM else 0)
                for name, values in self.columns.get(surface, empty).items()
            }
            for surface in surfaces
        }
        left = _longer(self.left, len(users), fill=0)
        return replace(self, users=users, order=order, left=left, surfaces=surfaces, arms=arms, columns=columns)

    def _column_names(self) -> Iterator[str]:
        yield from (_ARM, _KNOWN)
        for measure in self.measures:
            yield from (f"before_{measure}", f"now_{measure}")

    def _touched(self, came: _Came) -> dict[str, Ints]:
        """Return whose columns a day may change, by surface."""
        found = {}
        for surface in self.surfaces:
            touched = np.zeros(len(self.users), dtype=np.bool_)
            for places in (came.left, came.entered.places_on(surface), came.deeds.places_on(surface)):
                touched[places] = True
            found[surface] = np.flatnonzero(touched)
        return found

    def _take(self, came: _Came) -> None:
        """Take a day on; this object is not anybody else's yet."""
        self.left[came.left] = True
        arms = _whole(came.entered.rows[_ARM]).dictionary_encode()
        number = np.array([self.arms.index(each) for each in arms.dictionary.to_pylist()], dtype=np.int16)
        numbers = number[arms.indices.to_numpy()]
        for surface in self.surfaces:
            on = came.entered.on.get(surface, _NONE)
            self._set(surface, _ARM, came.entered.places[on], numbers[on])
            if came.before is not None:
                for name in (_KNOWN, *self.measures):
                    places, values = came.before.column(surface, name)
                    self._set(surface, name if name == _KNOWN else f"before_{name}", places, values)
            for measure in self.measures:
                self._add(surface, f"now_{measure}", *came.deeds.column(surface, measure))

    def _set(self, surface: str, name: str, places: Ints, values: Ints) -> None:
        of = self.columns[surface]
        of[name] = _wide_enough(of[name], values)
        of[name][places] = values

    def _add(self, surface: str, name: str, places: Ints, values: Ints) -> None:
        of = self.columns[surface]
        total = of[name][places].astype(np.int64) + values
        of[name] = _wide_enough(of[name], total)
        of[name][places] = total

    def _sums(self, families: Families, surface: str, rows: Ints) -> Sums:
        """Add up some users' columns on a surface, of those who count."""
        found: Sums = Counter()
        if not families:
            return found
        columns = sorted({column for family in families for column in family})
        place = {name: number for number, name in enumerate(per_user.limb_names(columns), start=1)}
        known = per_user.implied(families)
        products = [(*pair, name) for pair, name in per_user.product_names(families).items() if pair not in known]
        arms = np.where(self.left[rows], NOBODY, self.columns[surface][_ARM][rows])
        for number, arm in enumerate(self.arms):
            among = rows[arms == number]
            product = np.zeros((1 + len(place), 1 + len(place)), dtype=np.int64)
            for first in range(0, len(among), USERS_AT_ONCE):
                product += _squared(self._limbs(surface, among[first : first + USERS_AT_ONCE], columns))
            found[surface, arm, "n"] = int(product[0, 0])
            found.update({(surface, arm, f"sum_{name}"): int(product[0, row]) for name, row in place.items()})
            for one, other, name in products:
                found[surface, arm, name] = int(product[place[one], place[other]])
        return found

    def _limbs(self, surface: str, rows: Ints, columns: Sequence[PerUser]) -> NDArray[np.float64]:
        """Return 1 and the limbs of some columns of users, (1 + limbs, users)."""
        of = self.columns[surface]
        found = np.ones((1 + len(per_user.limb_names(columns)), len(rows)))
        place = 1
        for column in columns:
            stored = f"{'now' if column.source == 'during' else 'before'}_{stored_as(column)}"
            whole = of[_KNOWN if column.name == _KNOWN else stored][rows]
            if len(per_user.limbs_of(column)) == 1:
                found[place] = whole > 0 if column.name == "clicked" else whole
                place += 1
            else:
                whole = whole.astype(np.int64)
                found[place], found[place + 1] = whole >> per_user.LIMB_BITS, whole & (per_user.LIMB - 1)
                place += 2
        return found


def _squared(values: NDArray[np.float64]) -> Ints:
    """Return x x' of whole numbers, (columns, users), exactly: in floats, which are faster, where these hold it."""
    if max(values.max(initial=0.0), -values.min(initial=0.0)) ** 2 * values.shape[1] < EXACT_IN_FLOATS:
        return (values @ values.T).astype(np.int64)
    whole = values.astype(np.int64)
    product: Ints = whole @ whole.T
    return product


def _ids(column: pa.ChunkedArray) -> NDArray[np.bytes_]:
    """Return the ids of users as bytes of one width.

    Raises:
        StoreError: for an id that ends with a zero byte, which no width can tell from a shorter one.
    """
    ids = _whole(column).cast(pa.binary())
    offsets = np.frombuffer(ids.buffers()[1], dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
    width = int(offsets[1] - offsets[0]) if len(ids) else 0
    if width and np.all(np.diff(offsets) == width):
        found = np.frombuffer(ids.buffers()[2], dtype=f"S{width}", count=len(ids), offset=int(offsets[0]))
    else:
        found = np.array(ids.to_pylist(), dtype=np.bytes_)
    if np.char.str_len(found).sum() != (int(offsets[-1] - offsets[0]) if len(ids) else 0):
        raise StoreError("a user's id ends with a zero byte, which PostgreSQL would refuse too; record it without")
    return found


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece, without a copy where it is one."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([*column.chunks, pa.array([], column.type)])


def _fixed(ids: NDArray[np.bytes_]) -> pa.Array:
    """Return ids as Arrow keeps bytes of one width."""
    kind = pa.binary(ids.dtype.itemsize)
    return pa.Array.from_buffers(kind, len(ids), [None, pa.py_buffer(np.ascontiguousarray(ids))])


def _unfixed(column: pa.ChunkedArray) -> NDArray[np.bytes_]:
    whole = _whole(column)
    return np.frombuffer(whole.buffers()[1], dtype=f"S{column.type.byte_width}", count=len(whole))


def _numbers(column: pa.ChunkedArray) -> Ints:
    return _whole(column).to_numpy(zero_copy_only=True)  # type: ignore[no-any-return]


def _by_surface(rows: pa.Table) -> Mapping[str, Ints]:
    """Return the places of the rows of each surface."""
    surfaces = _whole(rows["surface"]).dictionary_encode()
    numbers = surfaces.indices.to_numpy()
    return {name: np.flatnonzero(numbers == number) for number, name in enumerate(surfaces.dictionary.to_pylist())}


def _longer(values: NDArray[_Kind], length: int, *, fill: int) -> NDArray[_Kind]:
    """Return a copy of so many values, the new ones alike."""
    return np.concatenate([values, np.full(length - len(values), fill, dtype=values.dtype)])


def _wide_enough(values: Ints, new: Ints) -> Ints:
    """Return values with as many bytes as new ones among them need."""
    if len(new) == 0:
        return values
    needed = np.promote_types(np.min_scalar_type(-int(abs(new).max()) - 1), values.dtype)
    return values if needed == values.dtype else values.astype(needed)
