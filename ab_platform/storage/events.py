"""Statements on events: what is new is stored, makes exposures, and opens the days it fell on; and on replays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Date, Delete, delete, func, select, tuple_

from ab_platform.errors import ExperimentError, NotFoundError, nearest
from ab_platform.events import AnyEvent, Click, EventKind, Impression, Surface, Watch
from ab_platform.results import Outcome
from ab_platform.storage import bulk
from ab_platform.storage.connection import side_by_side
from ab_platform.storage.experiments import without_events
from ab_platform.storage.schema import arms, events, experiments, exposures, open_user_days, potential_outcomes

RECORD = "record"
"""The task of storing events: side by side with others, but never while an experiment's events become the last."""

_STAGE = bulk.stage_of(events)


@dataclass(frozen=True)
class Recorded:
    """What became of a batch of events.

    Attributes:
        stored: events that were new.
        duplicates: events that were there already, or twice in the batch.
        too_late: events of experiments whose raw events were deleted; they are not stored and count nowhere.
    """

    stored: int
    duplicates: int
    too_late: int = 0


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


def record(connection: Connection, batch: Sequence[AnyEvent]) -> Recorded:
    """Store events; one that is there already, by its id, stays as it is.

    Args:
        connection: in a transaction that writes.
        batch: in any order.

    Raises:
        NotFoundError: for an experiment that is not launched, or an arm that it does not have.
    """
    engine = bulk.engine_of(connection)
    side_by_side(connection, RECORD)
    spans = _spans(connection, batch)
    taken = [event for event in batch if event.experiment in spans]
    too_late = len(batch) - len(taken)
    new = _distinct(taken)
    bulk.fill(connection, _STAGE, rows=_rows(new.values(), bulk.encoding(connection)))
    if bulk.changed(connection, _drop_known()):
        new = {event_id: new[event_id] for event_id in connection.execute(select(_STAGE.c.event_id)).scalars()}
    if not new:
        return Recorded(0, len(taken), too_late)
    # Tables and rows always in the same order, so that two sessions wait for each other and never in a circle.
    if first := _first_impressions(new.values(), spans):
        connection.execute(_put_exposures(engine), first)
    connection.execute(_open_days(engine))
    stored = bulk.changed(connection, _put_events(engine))
    return Recorded(stored, len(taken) - stored, too_late)


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


def _spans(connection: Connection, batch: Sequence[AnyEvent]) -> dict[str, Span]:
    """Return when the experiments that are named begin and end, but for those whose raw events were deleted.

    Raises:
        NotFoundError: for an unknown experiment or arm.
    """
    named = {(event.experiment, event.arm) for event in batch}
    keys = {experiment for experiment, _ in named}
    span = (experiments.c.starts_at, experiments.c.ends_at, experiments.c.events_deleted_at)
    query = select(experiments.c.experiment, arms.c.arm, *span)
    joined = query.join(arms, arms.c.experiment == experiments.c.experiment).where(experiments.c.experiment.in_(keys))
    found = connection.execute(joined).all()
    for experiment, arm in sorted(named - {(row.experiment, row.arm) for row in found}):
        own = [row.arm for row in found if row.experiment == experiment]
        if not own:
            every = connection.execute(select(experiments.c.experiment)).scalars()
            raise NotFoundError(f"an event names experiment '{experiment}', not launched; {nearest(experiment, every)}")
        raise NotFoundError(f"an event names arm '{arm}', which '{experiment}' does not have; {nearest(arm, own)}")
    return {row.experiment: (row.starts_at, row.ends_at) for row in found if row.events_deleted_at is None}


Span = tuple[datetime, datetime]


def _without_events(connection: Connection) -> set[str]:
    return set(connection.execute(without_events()).scalars())


def _distinct(batch: Sequence[AnyEvent]) -> dict[UUID, AnyEvent]:
    """Return the first event of each id, in the order of ids: an index that grows at its end is the fastest."""
    first = {event.event_id: event for event in reversed(batch)}
    return {event_id: first[event_id] for event_id in sorted(first, key=attrgetter("int"))}


def _first_impressions(batch: Iterable[AnyEvent], spans: Mapping[str, Span]) -> list[dict[str, object]]:
    """Return the exposures that a batch makes: each user's first impression on each surface within the experiment."""
    first: dict[tuple[str, str, str], tuple[datetime, str]] = {}
    for event in batch:
        if type(event) is Impression:
            starts_at, ends_at = spans[event.experiment]
            key = (event.experiment, event.user_id, event.surface)
            shown = (event.at, event.arm)
            if starts_at <= event.at < ends_at and shown < first.get(key, (ends_at, "")):
                first[key] = shown
    return [
        {"experiment": experiment, "user_id": user, "surface": surface, "arm": arm, "at": at}
        for (experiment, user, surface), (at, arm) in sorted(first.items())
    ]


@cache
def _drop_known() -> Delete:
    return delete(_STAGE).where(select(events.c.event_id).where(events.c.event_id == _STAGE.c.event_id).exists())


@cache
def _put_exposures(engine: bulk.EngineName) -> bulk.Upsert:
    """Write exposures, the earliest of each user and surface; of two at once, the same one in whatever order."""
    put = bulk.upsert(engine, exposures)
    new = put.excluded
    return put.on_conflict_do_update(
        index_elements=list(exposures.primary_key),
        set_={"arm": new.arm, "at": new.at},
        where=tuple_(new.at, new.arm) < tuple_(exposures.c.at, exposures.c.arm),
    )


@cache
def _open_days(engine: bulk.EngineName) -> bulk.Upsert:
    """Open the days that new events fell on.

    An open day is written again rather than left: that locks its row, so a roll-up either sees these events or leaves
    the day open for the next one.
    """
    days = select(_STAGE.c.experiment, _STAGE.c.user_id, func.date(_STAGE.c.at, type_=Date).label("day")).distinct()
    put = bulk.upsert_from(engine, open_user_days, query=days.order_by("experiment", "user_id", "day"))
    return put.on_conflict_do_update(index_elements=list(open_user_days.primary_key), set_={"day": put.excluded.day})


@cache
def _put_events(engine: bulk.EngineName) -> bulk.Upsert:
    return bulk.upsert_from(engine, events, query=select(_STAGE)).on_conflict_do_nothing()


def _rows(batch: Iterable[AnyEvent], coding: bulk.Encoding) -> Iterator[tuple[object, ...]]:
    """Turn events into rows of the stage, in the order of its columns."""
    moment, identifier = coding.moment, coding.identifier
    for event in batch:
        yield (
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
