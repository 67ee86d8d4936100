"""Every exposed user's assignment, computed again from the frozen salts, and counted against what was recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from itertools import count

import numpy as np
from numpy.typing import NDArray

from ab_platform.diagnosis.found import DAY, OUTSIDE_LAYER, OUTSIDE_TRAFFIC, SURFACE, Moved
from ab_platform.events import Surface
from ab_platform.lineage import Change, Launch
from ab_platform.storage.segments import INTERACTION_GROUPS, INTERACTIONS, MANY_INTERACTIONS, UNKNOWN
from ab_platform.storage.store import ExposedUsers, KnownUsers

RAMP_SECONDS = 300
"""Seconds around a ramp in which the traffic before it and after it are both right: servers hear of it, not at once."""

EXAMPLES = 3

_DAY_SECONDS = 86_400

Counts = NDArray[np.int64]
OnUsers = Callable[[int], None]
"""Told how many users are done."""


@dataclass(frozen=True, eq=False)
class Counted:
    """What was counted of the exposed users; arms are in order, control first.

    Attributes:
        users: exposed on any surface.
        mixed: of them, seen in several arms.
        recorded: `(arms,)` users by the arm of their record, but for those seen in several.
        placed: users whom the hash has in the experiment, by dimension and segment `(days, arms)`, by the day of their
            first exposure and the hash's arm.
        surfaces: the same of the users exposed on each surface, by the day of the exposure there.
        surface_sets: `(sets, arms)` users by the surfaces they were exposed on.
        moved: users recorded where their hash does not put them, but for those seen in several arms.
        wrong: by dimension and segment, (users, how many of them moved).
    """

    users: int
    mixed: int
    recorded: Counts
    placed: Mapping[str, Mapping[str, Counts]]
    surfaces: Mapping[Surface, Counts]
    surface_sets: Counts
    moved: tuple[Moved, ...]
    wrong: Mapping[str, Mapping[str, tuple[int, int]]]


@dataclass(frozen=True, eq=False)
class Known:
    """Users of the data set whom the hash has in the experiment, `(arms,)`; the traffic is the highest so far.

    Attributes:
        assigned: all of them.
        exposed: those who were exposed.
    """

    assigned: Counts
    exposed: Counts


def rehash(
    launch: Launch,
    changes: Sequence[Change],
    users: Iterable[ExposedUsers],
    attributes: Sequence[str],
    *,
    as_of: date,
    on_users: OnUsers | None = None,
) -> Counted:
    """Compute every user's assignment again; memory holds one chunk of users and the counts.

    A user may be in whom the traffic of the exposure lets in. Of replayed or simulated visits, whose times are not when
    they were served, the highest traffic counts.

    Args:
        launch: with the frozen salts.
        changes: its log, for the ramps.
        users: in chunks, with the attributes.
        attributes: their names.
        as_of: last day that counts.
        on_users: told how far it is.
    """
    tally = _Tally(launch, changes, attributes, as_of)
    for chunk in users:
        tally.add(chunk)
        if on_users:
            on_users(tally.users)
    return tally.counted()


def count_known(launch: Launch, changes: Sequence[Change], users: Iterable[KnownUsers]) -> Known:
    """Count the data set's users whom the hash has in the experiment, and how many were exposed."""
    arms = len(launch.experiment.arms)
    assigned, exposed = np.zeros(arms, dtype=np.int64), np.zeros(arms, dtype=np.int64)
    order = _control_first(launch)
    for chunk in users:
        placed = order[_hashed(launch, chunk.users, max(traffic for _, traffic in steps(launch, changes)))]
        assigned += np.bincount(placed[placed >= 0], minlength=arms)
        exposed += np.bincount(placed[(placed >= 0) & chunk.exposed], minlength=arms)
    return Known(assigned, exposed)


def steps(launch: Launch, changes: Iterable[Change]) -> tuple[tuple[float, float], ...]:
    """Return since when, in unix seconds, each traffic was in force.

    Replayed or simulated visits follow the ramp that was planned; without one, they know one traffic.
    """
    found = [(-np.inf, launch.experiment.steps[0].traffic)]
    replayed = False
    for change in changes:
        replayed |= change.action in ("replay", "simulate")
        if change.action == "ramp":
            found.append((change.at.timestamp(), float(str(change.after["traffic"]))))
    return (
        ((-np.inf, max(traffic for _, traffic in found)),) if replayed and not launch.experiment.ramp else tuple(found)
    )


class _Tally:
    """Counts that grow chunk by chunk."""

    def __init__(self, launch: Launch, changes: Sequence[Change], attributes: Sequence[str], as_of: date) -> None:
        self._launch = launch
        self._steps = steps(launch, changes)
        self._attributes = attributes
        self._first_day = launch.starts_at.astimezone(UTC).date()
        self._days = (as_of - self._first_day).days + 1
        self._order = _control_first(launch)
        experiment = launch.experiment
        self._arms = tuple(arm.name for arm in (experiment.control, *experiment.treatments))
        self._codes = {"": -1} | {name: place for place, name in enumerate(self._arms)}
        self._surfaces = experiment.surfaces
        self.users = self._mixed = 0
        self._recorded = np.zeros(len(self._arms), dtype=np.int64)
        # By day, by arm with one more place for those in none, and by whether they moved.
        shape = (self._days, len(self._arms) + 1, 2)
        self._whole = np.zeros(shape, dtype=np.int64)
        self._cells = {name: _Cells(shape) for name in (SURFACE, *attributes)}
        self._on_surface = {surface: np.zeros(self._shape, dtype=np.int64) for surface in self._surfaces}
        self._sets = np.zeros((1 << len(self._surfaces), len(self._arms)), dtype=np.int64)
        self._moved: dict[tuple[int, int], _Movement] = defaultdict(_Movement)

    @property
    def _shape(self) -> tuple[int, int]:
        return self._days, len(self._arms)

    def add(self, chunk: ExposedUsers) -> None:
        """Compute a chunk's assignments and count them."""
        seen = chunk.at >= 0
        first = np.where(seen, chunk.at, np.iinfo(np.int64).max).argmin(axis=1)
        rows = np.arange(len(first))
        at = chunk.at[rows, first]
        codes = np.array([[self._codes[arm] for arm in arms] for arms in chunk.arms], dtype=np.int64).T
        recorded = codes[rows, first]
        mixed = chunk.mixed | (np.where(seen, codes, recorded[:, None]) != recorded[:, None]).any(axis=1)
        wanted = self._assignments(chunk.users, at)
        wrong = (recorded != wanted) & ~mixed
        self.users += len(rows)
        self._mixed += int(mixed.sum())
        self._recorded += np.bincount(recorded[~mixed], minlength=len(self._arms))
        day = self._day_of(at)
        arm = np.where(wanted >= 0, wanted, len(self._arms))
        cell = np.ravel_multi_index((day, arm, wrong.astype(np.int64)), self._whole.shape)
        self._whole += np.bincount(cell, minlength=self._whole.size).reshape(self._whole.shape)
        for name, values in self._segments(chunk, first):
            self._cells[name].add(values, cell)
        self._count_surfaces(chunk.at, seen, wanted)
        for place in np.flatnonzero(wrong).tolist():
            self._moved[int(recorded[place]), int(wanted[place])].add(chunk.users[place], int(day[place]))

    def counted(self) -> Counted:
        """Return what was counted."""
        tables = {name: cells.table() for name, cells in self._cells.items()}
        arms = len(self._arms)
        by_day = {str(self._day(number)): each for number, each in enumerate(self._whole) if each.any()}
        return Counted(
            users=self.users,
            mixed=self._mixed,
            recorded=self._recorded,
            placed={
                name: {segment: each[:, :arms].sum(axis=-1) for segment, each in table.items()}
                for name, table in ({DAY: {"": self._whole}} | tables).items()
            },
            surfaces=self._on_surface,
            surface_sets=self._sets,
            moved=tuple(self._told(pair, movement) for pair, movement in sorted(self._moved.items())),
            wrong={
                name: {segment: (int(each.sum()), int(each[..., 1].sum())) for segment, each in table.items()}
                for name, table in ({DAY: by_day} | tables).items()
            },
        )

    def _assignments(self, users: list[str], at: Counts) -> Counts:
        """Return the arm that is right for each user, -1 outside the slice and -2 outside the traffic."""
        hashed = self._order[_hashed(self._launch, users, 1.0)]
        allowed = np.zeros(len(at))
        ends = [*(since for since, _ in self._steps[1:]), np.inf]
        for (since, traffic), until in zip(self._steps, ends, strict=True):
            within = (at >= since - RAMP_SECONDS) & (at < until + RAMP_SECONDS)
            allowed[within] = np.maximum(allowed[within], traffic)
        wanted: Counts = hashed.copy()
        for traffic in np.unique(allowed[allowed < 1.0]).tolist():
            among = np.flatnonzero((allowed == traffic) & (hashed >= 0))
            placed = _hashed(self._launch, [users[place] for place in among.tolist()], traffic)
            wanted[among[placed < 0]] = -2
        return wanted

    def _segments(self, chunk: ExposedUsers, first: Counts) -> Iterator[tuple[str, list[str]]]:
        """Give each user's segment in every dimension but the day; the surface is the first one."""
        yield SURFACE, [self._surfaces[place] for place in first.tolist()]
        for name, values in zip(self._attributes, chunk.attributes, strict=True):
            yield name, [_group(value) for value in values] if name == INTERACTIONS else values

    def _count_surfaces(self, at: Counts, seen: NDArray[np.bool_], wanted: Counts) -> None:
        placed = wanted >= 0
        for place, surface in enumerate(self._surfaces):
            here = seen[:, place] & placed
            np.add.at(self._on_surface[surface], (self._day_of(at[here, place]), wanted[here]), 1)
        among = seen[placed] @ (1 << np.arange(len(self._surfaces)))
        np.add.at(self._sets, (among, wanted[placed]), 1)

    def _told(self, pair: tuple[int, int], movement: _Movement) -> Moved:
        recorded, wanted = pair
        hashed = {-1: OUTSIDE_LAYER, -2: OUTSIDE_TRAFFIC}.get(wanted) or self._arms[wanted]
        first, last = self._day(movement.first), self._day(movement.last)
        return Moved(self._arms[recorded], hashed, movement.users, first, last, tuple(sorted(movement.examples)))

    def _day_of(self, at: Counts) -> Counts:
        first = (self._first_day - date(1970, 1, 1)).days
        days: Counts = np.clip(at // _DAY_SECONDS - first, 0, self._days - 1)
        return days

    def _day(self, number: int) -> date:
        return self._first_day + timedelta(days=number)


@dataclass
class _Movement:
    """Users who moved between the same two places."""

    users: int = 0
    first: int = 1 << 30
    last: int = -1
    examples: list[str] = field(default_factory=list)

    def add(self, user: str, day: int) -> None:
        """Count one."""
        self.users += 1
        self.first, self.last = min(self.first, day), max(self.last, day)
        if len(self.examples) < EXAMPLES:
            self.examples.append(user)


class _Cells:
    """Counts of one shape for each segment, which are met one after the other."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._codes: defaultdict[str, int] = defaultdict(count().__next__)
        self._counts = np.zeros(0, dtype=np.int64)

    def add(self, segments: Sequence[str], cells: Counts) -> None:
        """Count one in a cell of each segment."""
        codes = np.fromiter(map(self._codes.__getitem__, segments), np.int64, len(segments))
        size = int(np.prod(self._shape))
        met = np.bincount(codes * size + cells, minlength=len(self._codes) * size)
        met[: len(self._counts)] += self._counts
        self._counts = met

    def table(self) -> dict[str, Counts]:
        """Return the counts by segment, sorted."""
        whole = self._counts.reshape(len(self._codes), *self._shape)
        return {segment: whole[code] for segment, code in sorted(self._codes.items())}


def _hashed(launch: Launch, users: Sequence[str], traffic: float) -> Counts:
    experiment = launch.experiment
    return experiment.place_all(users, experiment.ranges(traffic))


def _control_first(launch: Launch) -> Counts:
    """Return each arm's place with the control first; the last, which -1 finds, is -1."""
    names = [arm.name for arm in (launch.experiment.control, *launch.experiment.treatments)]
    return np.array([*(names.index(arm.name) for arm in launch.experiment.arms), -1], dtype=np.int64)


def _group(interactions: str) -> str:
    """Return the group of Table 3 that a number of interactions is in, as the analysis does."""
    if interactions == UNKNOWN:
        return UNKNOWN
    return next((name for end, name in INTERACTION_GROUPS if int(interactions) < end), MANY_INTERACTIONS)
