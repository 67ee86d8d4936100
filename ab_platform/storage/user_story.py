"""Statements that tell one user's story: each finds the user by an index, however many others there are.

Events are found by their index of experiment and user, on PostgreSQL in the partition of each day; what is counted or
sorted after that is one user's alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from ab_platform.pseudonym import digest
from ab_platform.storage.schema import erasures, events, exposures, interactions, mixed_users, titles, user_attributes
from ab_platform.user_story import SlateShown, TitleShown, UserExposure, UserStory


@dataclass(frozen=True)
class Whose:
    """A user under an experiment.

    Attributes:
        experiment: its key.
        dataset: of its titles.
        user_id: the user, as the platform knows them.
    """

    experiment: str
    dataset: str
    user_id: str


def user_story(connection: Connection, whose: Whose, *, skip: int, count: int) -> UserStory:
    """Return what is stored of a user under an experiment.

    Args:
        connection: in a transaction.
        whose: of whom.
        skip: slates, the newest first, that come before.
        count: slates, at most.
    """
    slates = _slates(connection, whose, skip=skip, count=count)
    return UserStory(
        known=_known(connection, whose),
        erased_at=connection.execute(_erased(whose)).scalar_one_or_none(),
        mixed_at=connection.execute(_mixed(whose)).scalar_one_or_none(),
        exposures=tuple(UserExposure(*row) for row in connection.execute(_exposures(whose))),
        slates=tuple(slates),
        slates_in_all=connection.execute(_count(whose)).scalar_one(),
        astray=connection.execute(_astray(whose)).scalar_one(),
    )


def first_exposures(connection: Connection, user_id: str, experiments: Iterable[str]) -> Mapping[str, datetime]:
    """Return when a user was first exposed under some experiments, by key; those without an exposure are left out."""
    of_user_there = (exposures.c.experiment.in_(sorted(experiments)), exposures.c.user_id == user_id)
    query = select(exposures.c.experiment, func.min(exposures.c.at).label("at")).where(*of_user_there)
    return {row.experiment: row.at for row in connection.execute(query.group_by(exposures.c.experiment))}


def statements(whose: Whose) -> tuple[Select[Any], ...]:
    """Return the statements that could scan if an index failed them, for who checks that none does."""
    some = [UUID(int=1), UUID(int=2)]
    return (
        _exposures(whose),
        _mixed(whose),
        _count(whose),
        _astray(whose),
        _newest_slates(whose, skip=0, count=50),
        _impressions(whose, some),
        _outcomes(whose, some),
        *_knowing(whose),
    )


def _of(whose: Whose, *kinds: str) -> tuple[ColumnElement[bool], ...]:
    same = (events.c.experiment == whose.experiment, events.c.user_id == whose.user_id)
    return (*same, events.c.kind.in_(kinds))


def _known(connection: Connection, whose: Whose) -> bool:
    return any(connection.execute(query).first() is not None for query in _knowing(whose))


def _knowing(whose: Whose) -> tuple[Select[Any], ...]:
    liked = select(interactions.c.title_id).where(
        interactions.c.dataset == whose.dataset, interactions.c.user_id == whose.user_id
    )
    rows = user_attributes.c
    described = select(rows.name).where(rows.dataset == whose.dataset, rows.user_id == whose.user_id)
    return liked.limit(1), described.where(rows.name.in_(_attributes_of(whose.dataset))).limit(1)


def _attributes_of(dataset: str) -> Select[Any]:
    """Select the names of a data set's attributes, which stand before the user in the key: from one to the next."""
    rows = user_attributes.c
    name = select(func.min(rows.name).label("value")).where(rows.dataset == dataset).cte("names", recursive=True)
    following = select(func.min(rows.name)).where(rows.dataset == dataset, rows.name > name.c.value).scalar_subquery()
    names = name.union_all(select(following).where(name.c.value.is_not(None)))
    return select(names.c.value).where(names.c.value.is_not(None))


def _erased(whose: Whose) -> Select[Any]:
    return select(erasures.c.erased_at).where(erasures.c.user_digest == digest(whose.user_id))


def _mixed(whose: Whose) -> Select[Any]:
    rows = mixed_users.c
    return select(rows.at).where(rows.experiment == whose.experiment, rows.user_id == whose.user_id)


def _exposures(whose: Whose) -> Select[Any]:
    rows = exposures.c
    query = select(rows.surface, rows.arm, rows.at)
    return query.where(rows.experiment == whose.experiment, rows.user_id == whose.user_id).order_by(rows.at)


def _count(whose: Whose) -> Select[Any]:
    return select(func.count(events.c.slate_id.distinct())).where(*_of(whose, "impression"))


def _astray(whose: Whose) -> Select[Any]:
    arrived = select(events.c.event_id).where(*_of(whose, "impression"))
    outcomes = (
        *_of(whose, "click", "watch"),
        or_(events.c.impression_id.is_(None), events.c.impression_id.not_in(arrived)),
    )
    return select(func.count()).select_from(events).where(*outcomes)


def _newest_slates(whose: Whose, *, skip: int, count: int) -> Select[Any]:
    query = select(events.c.slate_id, func.min(events.c.at).label("at")).where(*_of(whose, "impression"))
    newest = query.group_by(events.c.slate_id).order_by(func.min(events.c.at).desc(), events.c.slate_id)
    return newest.limit(count).offset(skip)


def _impressions(whose: Whose, slates: Sequence[UUID]) -> Select[Any]:
    query = select(events).where(*_of(whose, "impression"), events.c.slate_id.in_(slates))
    return query.order_by(events.c.position, events.c.event_id)


def _outcomes(whose: Whose, impressions: Sequence[UUID]) -> Select[Any]:
    columns = (events.c.impression_id, events.c.kind, func.count().label("times"), func.sum(events.c.watch_seconds))
    query = select(*columns).where(*_of(whose, "click", "watch"), events.c.impression_id.in_(impressions))
    return query.group_by(events.c.impression_id, events.c.kind)


def _slates(connection: Connection, whose: Whose, *, skip: int, count: int) -> list[SlateShown]:
    newest = [row.slate_id for row in connection.execute(_newest_slates(whose, skip=skip, count=count))]
    if not newest:
        return []
    shown: dict[UUID, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(_impressions(whose, newest)):
        shown[row.slate_id].append(row)
    rows = [row for of_slate in shown.values() for row in of_slate]
    names = _names(connection, whose.dataset, {row.title_id for row in rows})
    done = _done(connection, whose, [row.event_id for row in rows])
    return [_slate(shown[slate], names, done) for slate in newest]


_Done = tuple[int, float | None]
"""Clicks on one impression, and seconds watched."""


def _done(connection: Connection, whose: Whose, impressions: Sequence[UUID]) -> Mapping[UUID, _Done]:
    found: dict[UUID, _Done] = defaultdict(lambda: (0, None))
    for impression, kind, times, seconds in connection.execute(_outcomes(whose, impressions)):
        clicks, watched = found[impression]
        found[impression] = (times, watched) if kind == "click" else (clicks, seconds)
    return found


def _names(connection: Connection, dataset: str, ids: Iterable[str]) -> Mapping[str, str]:
    query = select(titles.c.title_id, titles.c.title)
    query = query.where(titles.c.dataset == dataset, titles.c.title_id.in_(sorted(ids)))
    return {row.title_id: row.title for row in connection.execute(query)}


def _slate(rows: Sequence[Row[Any]], names: Mapping[str, str], done: Mapping[UUID, _Done]) -> SlateShown:
    first = min(rows, key=lambda row: (row.at, row.position))
    return SlateShown(
        surface=first.surface,
        at=first.at,
        arm=first.arm,
        served_by=first.served_by,
        latency_ms=first.latency_ms,
        titles=tuple(
            TitleShown(row.title_id, names.get(row.title_id), row.position, *done[row.event_id]) for row in rows
        ),
    )
