"""Inference: more measures a user-day, the whole row of a lift, segments, decisions, attributes and mixed users.

User-days are counted anew from their events by the next roll-up, since they count more than before. Lifts and checks
of the split that stand are kept; what they did not know is absent in them.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

LIFT_KEY = ("experiment", "as_of", "surface", "metric", "arm")


def upgrade() -> None:
    op.add_column("events", sa.Column("latency_ms", sa.Float()))
    _attributes()
    _user_days()
    _lifts()
    _sample_ratios()
    _looks()
    _segments()


def _attributes() -> None:
    op.create_table(
        "user_attributes",
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "name", "user_id", name="pk_user_attributes"),
        sqlite_with_rowid=False,
        comment="What is known of a user apart from events, such as device or country; it must not depend on the arm.",
    )
    op.create_table(
        "mixed_users",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column(
            "at", MOMENT, nullable=False, comment="first impression of a second arm; from that day on the user is out"
        ),
        sa.PrimaryKeyConstraint("experiment", "user_id", name="pk_mixed_users"),
        sqlite_with_rowid=False,
    )


def _user_days() -> None:
    # A day that is open already stays so.
    op.execute(
        "INSERT INTO open_user_days (experiment, user_id, day) "
        "SELECT DISTINCT experiment, user_id, day FROM user_days WHERE true ON CONFLICT DO NOTHING"
    )
    op.drop_table("user_days")
    op.create_table(
        "user_days",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("impressions", sa.Integer(), nullable=False),
        sa.Column("slates", sa.Integer(), nullable=False),
        sa.Column("visits", sa.Integer(), nullable=False),
        sa.Column("clicks", sa.Integer(), nullable=False),
        sa.Column("clicked_slates", sa.Integer(), nullable=False),
        sa.Column("titles_watched", sa.Integer(), nullable=False),
        sa.Column("watch_seconds", sa.Float(), nullable=False),
        sa.Column("first_click_seconds", sa.Float(), nullable=False),
        sa.Column("reciprocal_ranks", sa.Float(), nullable=False),
        sa.Column("fallback_slates", sa.Integer(), nullable=False),
        sa.Column("timed_slates", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("last_at", MOMENT, nullable=False, comment="time of the newest event that counts"),
        sa.PrimaryKeyConstraint("experiment", "user_id", "surface", "day", name="pk_user_days"),
        sqlite_with_rowid=False,
    )


def _lifts() -> None:
    _replace(
        "lifts",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("monitoring", sa.String(), nullable=False),
        sa.Column("adjustment", sa.String(), nullable=False),
        sa.Column("alpha", sa.Float(), nullable=False),
        sa.Column("interval_alpha", sa.Float(), nullable=False),
        sa.Column("null_lift", sa.Float(), nullable=False),
        sa.Column("watermark", MOMENT, nullable=False),
        sa.Column("users_control", sa.Integer(), nullable=False),
        sa.Column("users_treatment", sa.Integer(), nullable=False),
        sa.Column("numerator_control", sa.Float(), nullable=False),
        sa.Column("numerator_treatment", sa.Float(), nullable=False),
        sa.Column("denominator_control", sa.Float(), nullable=False),
        sa.Column("denominator_treatment", sa.Float(), nullable=False),
        sa.Column("control", sa.Float()),
        sa.Column("treatment", sa.Float()),
        sa.Column("difference", sa.Float()),
        sa.Column("difference_low", sa.Float()),
        sa.Column("difference_high", sa.Float()),
        sa.Column("lift", sa.Float()),
        sa.Column("low", sa.Float()),
        sa.Column("high", sa.Float()),
        sa.Column("p_value", sa.Float()),
        sa.Column("detectable", sa.Float()),
        sa.Column("variance_saved", sa.Float()),
        sa.Column("cap", sa.Float()),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint(*LIFT_KEY, name="pk_lifts"),
        kept=(
            *LIFT_KEY,
            "method",
            "alpha",
            "watermark",
            *(f"{part}_{arm}" for part in ("users", "numerator", "denominator") for arm in ("control", "treatment")),
            *("control", "treatment", "lift", "low", "high", "p_value", "reason"),
        ),
        made=(
            ("role", "'secondary'"),
            ("monitoring", "'fixed'"),
            ("adjustment", "'none'"),
            ("interval_alpha", "alpha"),
            ("null_lift", "0.0"),
            ("difference", "treatment - control"),
        ),
    )


def _sample_ratios() -> None:
    key = ("experiment", "as_of", "scope")
    _replace(
        "sample_ratios",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False, comment="a surface, 'all' for any of them, a phase, a segment"),
        sa.Column("watermark", MOMENT, nullable=False),
        sa.Column("arms", DOCUMENT, nullable=False, comment="arm names, control first"),
        sa.Column("counts", DOCUMENT, nullable=False),
        sa.Column("expected", DOCUMENT, nullable=False),
        sa.Column("chi2", sa.Float()),
        sa.Column("p_value", sa.Float()),
        sa.Column("e_value", sa.Float()),
        sa.Column("alarm", sa.Boolean(name="alarm"), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint(*key, name="pk_sample_ratios"),
        kept=(*key, "watermark", "arms", "counts", "expected", "chi2", "p_value", "alarm", "reason"),
    )


def _looks() -> None:
    op.create_table(
        "looks",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("watermark", MOMENT, nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.Column("mixed_users", sa.Integer(), nullable=False),
        sa.Column("told", DOCUMENT, nullable=False, comment="how the rows were made, in sentences"),
        sa.PrimaryKeyConstraint("experiment", "as_of", name="pk_looks"),
    )
    op.create_table(
        "decisions",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("days_left", sa.Float()),
        sa.PrimaryKeyConstraint("experiment", "as_of", "arm", name="pk_decisions"),
    )


def _segments() -> None:
    op.create_table(
        "segment_lifts",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("dimension", sa.String(), nullable=False),
        sa.Column("segment", sa.String(), nullable=False),
        sa.Column("users_control", sa.Integer(), nullable=False),
        sa.Column("users_treatment", sa.Integer(), nullable=False),
        sa.Column("control", sa.Float()),
        sa.Column("treatment", sa.Float()),
        sa.Column("lift", sa.Float()),
        sa.Column("low", sa.Float()),
        sa.Column("high", sa.Float()),
        sa.Column("p_value", sa.Float()),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint(*LIFT_KEY, "dimension", "segment", name="pk_segment_lifts"),
    )
    op.create_table(
        "segment_tests",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("dimension", sa.String(), nullable=False),
        sa.Column("statistic", sa.Float()),
        sa.Column("degrees", sa.Integer()),
        sa.Column("p_value", sa.Float()),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint(*LIFT_KEY, "dimension", name="pk_segment_tests"),
    )


def _replace(
    table: str, *parts: sa.schema.SchemaItem, kept: Sequence[str], made: Sequence[tuple[str, str]] = ()
) -> None:
    """Make a table anew with what it held; a temporary copy leaves the names of its constraints free meanwhile."""
    op.execute(f"CREATE TEMPORARY TABLE kept_{table} AS SELECT * FROM {table}")
    op.drop_table(table)
    op.create_table(table, *parts)
    columns, values = [*kept, *(name for name, _ in made)], [*kept, *(value for _, value in made)]
    op.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM kept_{table}")
    op.execute(f"DROP TABLE kept_{table}")
