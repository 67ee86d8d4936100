"""One row by segment as HTML: what the test between the segments says, and the figures of the picture."""

from __future__ import annotations

from html import escape

from ab_platform.metrics import Metric
from ab_platform.reporting import definitions, figures
from ab_platform.reporting.history import printed_row
from ab_platform.reporting.html_over_time import unbroken
from ab_platform.reporting.html_parts import capital
from ab_platform.reporting.html_tables import Cell, Column, Row, table
from ab_platform.reporting.printed_segments import ALL, PrintedSegment, SegmentTable
from ab_platform.results import LiftRow

DIMENSIONS = {
    "interactions": "interactions in the training data",
    "cohort": "day of the exposure",
}
"""Dimensions whose own name does not say what they are."""

DIFFERS = "No single lift holds for everyone: what it is depends on the segment."
HYPOTHESES = (
    "Where no difference is shown, a segment that stands out is a hypothesis for a next experiment, not a finding: "
    "among many segments, some stand out by chance."
)


def title(dimension: str) -> str:
    """Name what the users are divided by."""
    return f"By {DIMENSIONS.get(dimension, dimension)}"


def verdict(dimension: str, found: SegmentTable) -> str:
    """Say above a picture whether the lift differs between its segments, and what follows.

    Args:
        dimension: what the users are divided by.
        found: the row in its segments.
    """
    if found.found is None:
        return f"<h2>{escape(title(dimension))}</h2>"
    differs = found.found == "differs"
    follows = f" {DIFFERS}" if differs else ""
    return (
        f'<h2>{escape(title(dimension))}</h2><p class="test{" differs" if differs else ""}">'
        f"{escape(capital(found.test))}.{follows}</p>"
    )


def segments_table(dimension: str, found: SegmentTable, overall: LiftRow, measured: Metric) -> str:
    """Lay the figures of a picture out.

    Args:
        dimension: what the users are divided by.
        found: the row in its segments.
        overall: the row among all users.
        measured: its metric.
    """
    columns = (
        Column("Segment", words=True),
        Column("Users", detail="control / treatment"),
        Column("Lift", definitions.LIFT),
        Column(figures.interval_label(overall.interval_alpha, overall.monitoring), definitions.INTERVAL),
    )
    lift, interval_of_all = printed_row(overall, measured, "relative")
    users = f"{overall.users_control:,} / {overall.users_treatment:,}"
    everyone = (Cell(ALL), Cell(users), Cell(lift), Cell(unbroken(interval_of_all)))
    return table(f"{title(dimension)}: {found.title}", columns, [everyone, *(_row(each) for each in found.segments)])


def _row(each: PrintedSegment) -> Row:
    users = Cell(f"{each.users_control} / {each.users_treatment}")
    return Cell(each.segment, each.reason), users, Cell(each.lift), Cell(unbroken(each.interval))
