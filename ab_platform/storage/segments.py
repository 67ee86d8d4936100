"""What users are divided by: the day of their exposure, an attribute as it is stored, or one in groups, in Ibis."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from ibis import _

from ab_platform.storage import schema
from ab_platform.storage.described import table

COHORT, INTERACTIONS = "cohort", "interactions"
"""Dimensions that are no plain attributes: the day of the exposure, and an attribute in groups."""

INTERACTION_GROUPS = ((5, "0-4"), (11, "5-10"), (51, "11-50"), (101, "51-100"))
"""Groups of Table 3 of the paper by their exclusive upper ends; beyond them is `100+`."""
MANY_INTERACTIONS = "100+"
UNKNOWN = "unknown"


def stored_segment(dataset: str, place: int, name: str) -> ir.Table:
    """Select what is stored of users by which they are divided: (of_user, stored_PLACE)."""
    stored = table(schema.user_attributes).filter(_.dataset == dataset, _.name == name)
    return stored.select(of_user=_.user_id, **{f"stored_{place}": _.value})


def segment(joined: ir.Table, place: int, name: str) -> ir.Value:
    """Return the segment of each user, from `exposed_on` or `stored_PLACE`."""
    if name == COHORT:
        return joined.exposed_on.cast("string")
    stored = joined[f"stored_{place}"]
    return (_group(stored) if name == INTERACTIONS else stored).fill_null(UNKNOWN)


def _group(count: ir.Value) -> ir.Value:
    number = count.cast("int64")
    grouped = ibis.cases(*((number < end, name) for end, name in INTERACTION_GROUPS), else_=MANY_INTERACTIONS)
    return count.notnull().ifelse(grouped, ibis.null("string"))
