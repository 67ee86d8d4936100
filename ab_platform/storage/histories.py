"""Statements on one user: what they interacted with, and what they watched under an experiment; each by its index."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from ab_platform.events import first_id
from ab_platform.storage.datasets import liked
from ab_platform.storage.schema import events, interactions


def history(
    connection: Connection, dataset: str, user_id: str, *, least_rating: float
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return a user's interactions that are rated at least so, or not rated.

    Returns:
        The titles, and the unix seconds of each, 0 where the time is unknown; in any order.
    """
    query = liked(dataset, least_rating=least_rating).where(interactions.c.user_id == user_id)
    rows = connection.execute(query).all()
    return tuple(title for _, title, _ in rows), tuple(seconds for _, _, seconds in rows)


def watched(connection: Connection, experiment: str, user_id: str, *, until: datetime | None) -> tuple[str, ...]:
    """Return each title that a user watched under an experiment once, by its first watch.

    Args:
        connection: in a transaction.
        experiment: its key.
        user_id: the user.
        until: what was watched from slates of then on does not count; all does where it is None. The impression that a
            watch points to tells the slate's moment, by its time-ordered id.
    """
    columns = events.c
    of_user = (columns.experiment == experiment, columns.user_id == user_id, columns.kind == "watch")
    before = () if until is None else (columns.impression_id < first_id(until),)
    query = select(columns.title_id).where(*of_user, *before).group_by(columns.title_id)
    return tuple(connection.execute(query.order_by(func.min(columns.at), columns.title_id)).scalars())
