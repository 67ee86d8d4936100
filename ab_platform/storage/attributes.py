"""Statements on user attributes: what is known of users apart from events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Select, String, cast, func, literal, or_, select

from ab_platform.storage import bulk
from ab_platform.storage.schema import interactions, user_attributes

_STAGE = bulk.stage_of(user_attributes)

INTERACTIONS = "interactions"


def write(connection: Connection, dataset: str, name: str, *, values: Iterable[tuple[str, str]]) -> int:
    """Store one attribute of users in place of what it was.

    Args:
        connection: in a transaction that writes.
        dataset: whose users.
        name: of the attribute.
        values: (user, value), a user at most once.

    Returns:
        Of how many users.
    """
    bulk.fill(connection, _STAGE, rows=((dataset, name, user, value) for user, value in values))
    return bulk.changed(connection, _put(connection, select(_STAGE)))


def count_interactions(connection: Connection, dataset: str, *, least_rating: float) -> int:
    """Store how many interactions each user has, those rated at least so or not rated."""
    liked = or_(interactions.c.rating >= least_rating, interactions.c.rating.is_(None))
    counted = (
        select(
            literal(dataset).label("dataset"),
            literal(INTERACTIONS).label("name"),
            interactions.c.user_id,
            cast(func.count(), String).label("value"),
        )
        .where(interactions.c.dataset == dataset, liked)
        .group_by(interactions.c.user_id)
    )
    return bulk.changed(connection, _put(connection, counted))


def counts(connection: Connection, dataset: str) -> Mapping[str, int]:
    """Return how many distinct values each attribute of a data set has, by name."""
    query = select(user_attributes.c.name, func.count(user_attributes.c.value.distinct()))
    query = query.where(user_attributes.c.dataset == dataset).group_by(user_attributes.c.name)
    return {row.name: row[1] for row in connection.execute(query.order_by(user_attributes.c.name))}


def _put(connection: Connection, query: Select[Any]) -> bulk.Upsert:
    put = bulk.upsert_from(bulk.engine_of(connection), user_attributes, query=query)
    return put.on_conflict_do_update(
        index_elements=list(user_attributes.primary_key), set_={"value": put.excluded.value}
    )
