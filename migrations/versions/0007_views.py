"""Views: the rows of the table made other ways, checks of the data, and true lifts, all stored with the analysis."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "lift_views",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("baseline", sa.String(), nullable=False, comment="the arm that it is compared with"),
        sa.Column("covariates", sa.Boolean(), nullable=False, comment="whether they took variance away"),
        sa.Column("monitoring", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
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
        sa.PrimaryKeyConstraint(
            "experiment",
            "as_of",
            "surface",
            "metric",
            "arm",
            "baseline",
            "covariates",
            "monitoring",
            name="pk_lift_views",
        ),
        comment="Rows of the table made other ways, so that a reader can switch between them; they decide nothing.",
    )
    op.create_table(
        "truths",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("control", sa.Float()),
        sa.Column("treatment", sa.Float()),
        sa.Column("lift", sa.Float()),
        sa.Column("source", sa.String(), nullable=False, comment="a replay or a simulation"),
        sa.PrimaryKeyConstraint("experiment", "as_of", "surface", "metric", "arm", name="pk_truths"),
    )
    op.create_table(
        "checks",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("check", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False, comment="'all', a surface, an arm, or a surface and an arm"),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("value", sa.Float()),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("next_step", sa.Text()),
        sa.PrimaryKeyConstraint("experiment", "as_of", "check", "scope", name="pk_checks"),
    )
