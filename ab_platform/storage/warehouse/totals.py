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
import pyarrow.compute as pc
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

NOBODY = -1
"""The arm of a user who was not exposed on a surface."""

EXACT_IN_FLOATS = 2.0**53
"""Whole numbers up to it are floats, and so are their sums up to it."""

_NAMES = ("surfaces", "arms", "measures")
_USER, _LEFT, _ARM, _KNOWN = "user_id", "left", "arm", "known"


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
class Totals:
    """What users did, through a day.

    Attributes:
        measures: that are totalled.
        users: their ids in bytes, sorted, (users,).
        left: whether a second arm was seen, (users,).
        surfaces: names of those that anybody was seen on.
        arms: names, by number.
        columns: by surface, each (users,): `arm` by number, `known`, `before_MEASURE` and `now_MEASURE`. Whole numbers
            of as few bytes as hold them.
    """

    measures: tuple[Measure, ...]
    users: NDArray[np.bytes_]
    left: NDArray[np.bool_]
    surfaces: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    columns: Mapping[str, dict[str, Ints]] = field(default_factory=dict)

    @classmethod
    def of_nobody(cls, measures: Sequence[Measure]) -> Totals:
        """Return the totals before the first day."""
        return cls(tuple(measures), np.array([], dtype=np.bytes_), np.zeros(0, dtype=np.bool_))

    def sums(self, families: Families) -> Sums:
        """Add up all users who count."""
        found: Sums = Counter()
        for surface in self.surfaces:
            found.update(self._sums(families, surface, np.arange(len(self.left))))
        return found

    def stepped(self, day: Day, families: Families) -> tuple[Totals, Sums]:
        """Return the totals with a day more, and by how much it changed the sums of some columns."""
        grown, places = self._grown(day)
        touched = grown._touched(day, places)
        was = {surface: grown._sums(families, surface, rows) for surface, rows in touched.items()}
        grown._take(day, places)
        change: Sums = Counter()
        for surface, rows in touched.items():
            change.update(grown._sums(families, surface, rows))
            change.subtract(was[surface])
        return grown, change

    def write(self, path: Path) -> None:
        """Write the totals into a file of Arrow's, whose columns are read without being copied."""
        named = {f"{surface}/{name}": each for surface in self.surfaces for name, each in self.columns[surface].items()}
        arrays = [_fixed(self.users), pa.array(self.left.view(np.int8)), *map(pa.array, named.values())]
        told = {
            "surfaces": "\n".join(self.surfaces),
            "arms": "\n".join(self.arms),
            "measures": "\n".join(self.measures),
        }
        rows = pa.table(arrays, names=[_USER, _LEFT, *named]).replace_schema_metadata(told)
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
        for name in rows.column_names[2:]:
            surface, _, column = name.rpartition("/")
            columns[surface][column] = _numbers(rows[name])
        left = _numbers(rows[_LEFT]).view(np.bool_)
        return cls(measures, _unfixed(rows[_USER]), left, surfaces, arms, columns)

    def _grown(self, day: Day) -> tuple[Totals, Mapping[str, Ints]]:
        """Return a copy with room for what a day brings, and the places of its users by where they are named."""
        named = {"entered": _ids(day.entered[_USER]), "deeds": _ids(day.deeds[_USER])}
        named |= {"before": _ids(day.before[_USER])} if day.before is not None else {}
        named |= {"left": np.array([user.encode() for user in day.left], dtype=np.bytes_)}
        every = np.concatenate(list(named.values()))
        at = np.searchsorted(self.users, every)
        standing = at < len(self.users)
        standing[standing] = self.users[at[standing]] == every[standing]
        new = np.unique(every[~standing])
        slots = np.searchsorted(self.users, new) + np.arange(len(new))
        kept = np.delete(np.arange(len(self.users) + len(new)), slots)
        place = np.empty(len(every), dtype=np.int64)
        place[standing] = kept[at[standing]]
        place[~standing] = slots[np.searchsorted(new, every[~standing])]
        ends = np.cumsum([len(each) for each in named.values()])
        places = dict(zip(named, np.split(place, ends[:-1]), strict=True))
        users = np.empty(len(kept) + len(new), dtype=np.promote_types(self.users.dtype, new.dtype))
        users[slots], users[kept] = new, self.users
        return self._with_room(day, users, kept), places

    def _with_room(self, day: Day, users: NDArray[np.bytes_], kept: Ints) -> Totals:
        """Return a copy with more users, every surface and every arm of a day; and where each user is now."""
        seen = [each for rows in (day.entered, day.deeds, day.before) if rows is not None for each in _distinct(rows)]
        surfaces = tuple(dict.fromkeys((*self.surfaces, *sorted(seen))))
        arms = tuple(dict.fromkeys((*self.arms, *sorted(_distinct(day.entered, "arm")))))
        empty = {name: np.zeros(len(kept), dtype=np.int8) for name in self._column_names()}
        empty[_ARM] = np.full(len(kept), NOBODY, dtype=np.int16)
        columns = {
            surface: {
                name: _spread(values, kept, len(users), fill=NOBODY if name == _ARM else 0)
                for name, values in self.columns.get(surface, empty).items()
            }
            for surface in surfaces
        }
        left = _spread(self.left, kept, len(users), fill=0)
        return replace(self, users=users, left=left, surfaces=surfaces, arms=arms, columns=columns)

    def _column_names(self) -> Iterator[str]:
        yield from (_ARM, _KNOWN)
        for measure in self.measures:
            yield from (f"before_{measure}", f"now_{measure}")

    def _touched(self, day: Day, places: Mapping[str, Ints]) -> dict[str, Ints]:
        """Return whose columns a day may change, by surface."""
        found = {}
        for surface in self.surfaces:
            came = np.zeros(len(self.users), dtype=np.bool_)
            came[places["left"]] = True
            came[places["entered"][_on(day.entered, surface)]] = True
            came[places["deeds"][_on(day.deeds, surface)]] = True
            found[surface] = np.flatnonzero(came)
        return found

    def _take(self, day: Day, places: Mapping[str, Ints]) -> None:
        """Take a day on; this object is not anybody else's yet."""
        number = {name: place for place, name in enumerate(self.arms)}
        self.left[places["left"]] = True
        for surface in self.surfaces:
            on = _on(day.entered, surface)
            arms = day.entered["arm"].combine_chunks().dictionary_encode()
            numbers = np.array([number[each] for each in arms.dictionary.to_pylist()], dtype=np.int16)
            self._set(surface, _ARM, places["entered"][on], numbers[arms.indices.to_numpy()[on]])
            if day.before is not None:
                on = _on(day.before, surface)
                self._set(surface, _KNOWN, places["before"][on], _numbers(day.before[_KNOWN])[on])
                for measure in self.measures:
                    values = _numbers(day.before[measure])[on]
                    self._set(surface, f"before_{measure}", places["before"][on], values)
            on = _on(day.deeds, surface)
            for measure in self.measures:
                self._add(surface, f"now_{measure}", places["deeds"][on], _numbers(day.deeds[measure])[on])

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


def _distinct(rows: pa.Table, name: str = "surface") -> list[str]:
    found: list[str] = rows[name].unique().to_pylist()
    return found


def _on(rows: pa.Table, surface: str) -> NDArray[np.int64]:
    """Return the places of the rows of a surface."""
    return np.flatnonzero(pc.equal(rows["surface"], surface).to_numpy())


def _spread(values: NDArray[_Kind], places: Ints, length: int, *, fill: int) -> NDArray[_Kind]:
    """Return values at their new places, and a filling between them."""
    spread = np.full(length, fill, dtype=values.dtype)
    spread[places] = values
    return spread


def _wide_enough(values: Ints, new: Ints) -> Ints:
    """Return values with as many bytes as new ones among them need."""
    if len(new) == 0:
        return values
    needed = np.promote_types(np.min_scalar_type(-int(abs(new).max()) - 1), values.dtype)
    return values if needed == values.dtype else values.astype(needed)
