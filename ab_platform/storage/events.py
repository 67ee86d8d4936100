"""Statements on events: what is new is stored, makes exposures, and opens the days it fell on; and on replays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from ab_platform.errors import ExperimentError, NotFoundError, nearest
from ab_platform.events import AnyEvent, Click, EventKind, Exposure, Impression, Surface, Watch
from ab_platform.pseudonym import digest
from ab_platform.results import Outcome
from ab_platform.storage import bulk, changed_days, partitions
from ab_platform.storage.connection import side_by_side
from ab_platform.storage.experiments import without_events
from ab_platform.storage.schema import (
    arms,
    erasures,
    events,
    experiments,
    exposures,
    open_user_days,
    potential_outcomes,
)

_STAGE = bulk.stage_of(events)

RECORD = "record"
"""The task of storing events: side by side with others, but never while an experiment's events become the last."""

Status = Literal["stored", "duplicate", "too_late", "erased"]
"""What became of one event: new; there already; of an experiment whose raw events were deleted; or from before its user
was erased."""


@dataclass(frozen=True)
class Recorded:
    """What became of a batch of events.

    Attributes:
        stored: events that were new.
        duplicates: events that were there already, or twice in the batch.
        too_late: events of experiments whose raw events were deleted; they are not stored and count nowhere.
        erased: events from before their user was erased; nor are these.
    """

    stored: int
    duplicates: int
    too_late: int = 0
    erased: int = 0


@dataclass(frozen=True, eq=False)
class OutcomeColumns:
    """What replayed users do on one surface under one arm; the users are the same, in the same order, for every arm.

    Attributes:
        surface: where.
        arm: under which arm, assigned or not.
        users: the replayed users, sorted.
        impressions: `(users,)`.
        clicks: `(users,)`.
        watch_seconds: `(users,)`.
    """

    surface: Surface
    arm: str
    users: tuple[str, ...]
    impressions: NDArray[np.int64]
    clicks: NDArray[np.int64]
    watch_seconds: NDArray[np.float64]


def record_each(
    connection: Connection, batch: Sequence[AnyEvent | Exposure], days: partitions.Days
) -> tuple[Status, ...]:
    """Store events; one that is there already, by its id, stays as it is. An exposure stands where it is the earliest.

    Args:
        connection: in a transaction that writes.
        batch: in any order.
        days: known to have a partition.

    Returns:
        What became of each, in the order of the batch. An exposure that stands from now on is stored; one that is not
        the earliest, or falls outside its experiment, is a duplicate.

    Raises:
        EventError: for an id that is not time-ordered.
        NotFoundError: for an experiment that is not launched, or an arm that it does not have.
        DaysMissingError: where a day has no partition; nothing is written then.
    """
    raw = [event for event in batch if not isinstance(event, Exposure)]
    partitions.check_ids(event.event_id for event in raw)
    side_by_side(connection, RECORD)
    gate = _gate(connection, batch)
    # Tables and rows always in the same order, so that two sessions wait for each other and never in a circle.
    distinct = _distinct(event for event in raw if gate.refusal(event) is None)
    days.check(connection, distinct)
    stored = _put_events(connection, distinct)
    new = [event for event_id, event in distinct.items() if event_id in stored]
    told = [event for event in batch if isinstance(event, Exposure) and gate.refusal(event) is None]
    earliest = _earliest([*new, *told], gate.spans)
    left = changed_days.left(connection, _exposure_rows(connection, earliest))
    first = _put_exposures(connection, earliest, returning=bool(told))
    standing = {each for each in told if first.get(_place(each)) == (each.at, each.arm)}
    _open_days(connection, [*new, *standing])
    changed_days.mark(connection, left)
    return _statuses(batch, gate, new=stored | standing)


def summed(statuses: Iterable[Status]) -> Recorded:
    """Count what became of a batch of events."""
    counts = Counter(statuses)
    return Recorded(counts["stored"], counts["duplicate"], counts["too_late"], counts["erased"])


def write_outcomes(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Store what replayed users do; what is there already stays.

    Raises:
        ExperimentError: for an experiment whose raw events were deleted: its users would have a truth and no events.
    """
    if outcomes:
        side_by_side(connection, RECORD)
        for key in sorted({outcome.experiment for outcome in outcomes} & _without_events(connection)):
            raise ExperimentError(
                f"'{key}' cannot be replayed: its raw events were deleted, and no more are taken; launch a new key"
            )
        put = bulk.upsert(bulk.engine_of(connection), potential_outcomes).on_conflict_do_nothing()
        connection.execute(put, [asdict(outcome) for outcome in outcomes])


def replayed_users(connection: Connection, experiment: str) -> frozenset[str]:
    """Return the users whose outcomes are known under every arm."""
    query = select(potential_outcomes.c.user_id).where(potential_outcomes.c.experiment == experiment).distinct()
    return frozenset(connection.execute(query).scalars())


def outcomes(connection: Connection, experiment: str) -> tuple[OutcomeColumns, ...]:
    """Return the outcomes of a replay, a surface and arm each, aligned by user; nothing without a replay."""
    users = tuple(sorted(replayed_users(connection, experiment)))
    places = {user: place for place, user in enumerate(users)}
    found: dict[tuple[str, str], OutcomeColumns] = {}
    rows = potential_outcomes.c
    query = select(rows.surface, rows.arm, rows.user_id, rows.impressions, rows.clicks, rows.watch_seconds)
    for surface, arm, user, impressions, clicks, seconds in connection.execute(
        query.where(rows.experiment == experiment).order_by(rows.surface, rows.arm)
    ):
        columns = found.setdefault((surface, arm), _no_outcomes(surface, arm, users))
        place = places[user]
        columns.impressions[place], columns.clicks[place], columns.watch_seconds[place] = impressions, clicks, seconds
    return tuple(found.values())


def _no_outcomes(surface: Surface, arm: str, users: tuple[str, ...]) -> OutcomeColumns:
    whole = np.zeros((2, len(users)), dtype=np.int64)
    return OutcomeColumns(surface, arm, users, whole[0], whole[1], np.zeros(len(users)))


Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class _Gate:
    """What of a batch is taken.

    Attributes:
        spans: when each experiment begins and ends, but for those whose raw events were deleted.
        erased: since when users of the batch are forgotten, by their id; nearly always none.
    """

    spans: Mapping[str, Span]
    erased: Mapping[str, datetime]

    def refusal(self, event: AnyEvent | Exposure) -> Status | None:
        """Return why an event is not taken; None where it is."""
        if event.experiment not in self.spans:
            return "too_late"
        erased_at = self.erased.get(event.user_id) if self.erased else None
        return None if erased_at is None or event.at > erased_at else "erased"


def _gate(connection: Connection, batch: Sequence[AnyEvent | Exposure]) -> _Gate:
    """Read what is taken of a batch.

    Raises:
        NotFoundError: for an unknown experiment or arm.
    """
    named = {(event.experiment, event.arm) for event in batch}
    keys = {experiment for experiment, _ in named}
    span = (experiments.c.starts_at, experiments.c.ends_at, experiments.c.events_deleted_at)
    anyone = select(erasures.c.user_digest).exists().label("anyone_erased")
    query = select(experiments.c.experiment, arms.c.arm, *span, anyone)
    joined = query.join(arms, arms.c.experiment == experiments.c.experiment).where(experiments.c.experiment.in_(keys))
    found = connection.execute(joined).all()
    for experiment, arm in sorted(named - {(row.experiment, row.arm) for row in found}):
        own = [row.arm for row in found if row.experiment == experiment]
        if not own:
            every = connection.execute(select(experiments.c.experiment)).scalars()
            raise NotFoundError(f"an event names experiment '{experiment}', not launched; {nearest(experiment, every)}")
        raise NotFoundError(f"an event names arm '{arm}', which '{experiment}' does not have; {nearest(arm, own)}")
    spans = {row.experiment: (row.starts_at, row.ends_at) for row in found if row.events_deleted_at is None}
    return _Gate(spans, _erased(connection, batch) if found and found[0].anyone_erased else {})


def _erased(connection: Connection, batch: Sequence[AnyEvent | Exposure]) -> dict[str, datetime]:
    """Return since when users of a batch are forgotten."""
    users = {digest(user): user for user in {event.user_id for event in batch}}
    query = select(erasures.c.user_digest, erasures.c.erased_at).where(erasures.c.user_digest.in_(users))
    return {users[row.user_digest]: row.erased_at for row in connection.execute(query)}


def _without_events(connection: Connection) -> set[str]:
    return set(connection.execute(without_events()).scalars())


def _distinct(batch: Iterable[AnyEvent]) -> dict[UUID, AnyEvent]:
    """Return the first event of each id, in the order of ids: an index that grows at its end is the fastest."""
    first: dict[UUID, AnyEvent] = {}
    for event in batch:
        first.setdefault(event.event_id, event)
    return {event_id: first[event_id] for event_id in sorted(first, key=attrgetter("int"))}


def _put_events(connection: Connection, distinct: Mapping[UUID, AnyEvent]) -> set[UUID]:
    """Insert events in the order of their ids; return the ids that are new."""
    if not distinct:
        return set()
    coding = bulk.encoding(connection)
    new = bulk.insert_new(connection, events, staged=_STAGE, rows=_rows(distinct.values(), coding))
    if len(new) == len(distinct):
        return set(distinct)
    return {event_id for event_id in distinct if coding.identifier(event_id) in new}


_Place = tuple[str, str, str]
"""Experiment, user and surface."""

_First = tuple[datetime, str]
"""When, and the arm; of two at once, the arm that sorts first."""


def _place(event: AnyEvent | Exposure) -> _Place:
    return event.experiment, event.user_id, event.surface


def _earliest(batch: Iterable[AnyEvent | Exposure], spans: Mapping[str, Span]) -> dict[_Place, _First]:
    """Return the exposures that a batch makes: each user's first on each surface within the experiment."""
    first: dict[_Place, _First] = {}
    for event in batch:
        if isinstance(event, Impression | Exposure):
            starts_at, ends_at = spans[event.experiment]
            place, shown = _place(event), (event.at, event.arm)
            if starts_at <= event.at < ends_at and shown < first.get(place, (ends_at, "")):
                first[place] = shown
    return first


def _put_exposures(connection: Connection, first: Mapping[_Place, _First], *, returning: bool) -> dict[_Place, _First]:
    """Write exposures, the earliest of each user and surface; of two at once, the same one in whatever order.

    Returns:
        Those that stand from now on and did not before, where they are asked for.
    """
    found = bulk.put(
        connection,
        exposures,
        rows=_exposure_rows(connection, first),
        conflict="(experiment, user_id, surface) DO UPDATE SET arm = excluded.arm, at = excluded.at "
        "WHERE (excluded.at, excluded.arm) < (exposures.at, exposures.arm)",
        returning="experiment, user_id, surface" if returning else "",
    )
    return {place: first[place] for place in found}


def _exposure_rows(connection: Connection, first: Mapping[_Place, _First]) -> list[changed_days.ExposureRow]:
    moment = bulk.encoding(connection).moment
    return [(*place, arm, moment(at)) for place, (at, arm) in sorted(first.items())]


def _open_days(connection: Connection, batch: Iterable[AnyEvent | Exposure]) -> None:
    """Open the days of new events.

    An open day is written again rather than left: that locks its row, so a roll-up either sees these events or leaves
    the day open for the next one.
    """
    written = bulk.encoding(connection).day
    days = {(event.experiment, event.user_id, event.at.astimezone(UTC).date()) for event in batch}
    bulk.put(
        connection,
        open_user_days,
        rows=[(experiment, user, written(day)) for experiment, user, day in sorted(days)],
        conflict="(experiment, user_id, day) DO UPDATE SET day = excluded.day",
    )


def _statuses(
    batch: Sequence[AnyEvent | Exposure], gate: _Gate, *, new: Collection[UUID | Exposure]
) -> tuple[Status, ...]:
    stored: Status = "stored"
    if len(new) == len(batch):
        return (stored,) * len(batch)
    left = set(new)
    statuses: list[Status] = []
    for event in batch:
        own = event if isinstance(event, Exposure) else event.event_id
        if (refusal := gate.refusal(event)) is not None:
            statuses.append(refusal)
        elif own in left:
            left.remove(own)
            statuses.append(stored)
        else:
            statuses.append("duplicate")
    return tuple(statuses)


def _rows(batch: Iterable[AnyEvent], coding: bulk.Encoding) -> list[tuple[object, ...]]:
    """Turn events into rows, in the order of the table's columns."""
    moment, identifier = coding.moment, coding.identifier
    return [
        (
            identifier(event.event_id),
            _KINDS[type(event)],
            event.experiment,
            event.user_id,
            event.arm,
            event.surface,
            event.title_id,
            moment(event.at),
            *_own_values(event, identifier),
        )
        for event in batch
    ]


_KINDS: Mapping[type[AnyEvent], EventKind] = {Impression: "impression", Click: "click", Watch: "watch"}


def _own_values(event: AnyEvent, identifier: Callable[[UUID], object]) -> tuple[object, ...]:
    """Return slate_id, position, served_by, impression_id, watch_seconds and latency_ms, those that the event has."""
    match event:
        case Impression():
            # Thousandths are what every engine adds up alike, of seconds and of milliseconds.
            latency_ms = None if event.latency_ms is None else round(event.latency_ms, 3)
            return identifier(event.slate_id), event.position, event.served_by, None, None, latency_ms
        case Click():
            return None, None, None, identifier(event.impression_id), None, None
        case Watch():
            return None, None, None, identifier(event.impression_id), round(event.watch_seconds, 3), None
