"""Upkeep: who is assigned, which alerts stand, and since when the raw events of an experiment are deleted.

The ranks of clicks are counted on their own days from now on, so the days of users who clicked on several are opened.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    # A day that is open already stays so.
    op.execute(
        "INSERT INTO open_user_days (experiment, user_id, day) "
        "SELECT experiment, user_id, min(day) FROM user_days WHERE clicks > 0 "
        "GROUP BY experiment, user_id HAVING count(*) > 1 ON CONFLICT DO NOTHING"
    )
    op.add_column(
        "experiments",
        sa.Column(
            "events_deleted_at",
            MOMENT,
            comment="since when raw events are on their way out: none is stored or counted any more; user-days stay",
        ),
    )
    op.create_table(
        "assignments",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("arm_bucket", sa.Integer(), nullable=False),
        sa.Column("layer_bucket", sa.Integer(), nullable=False),
        sa.Column("traffic", sa.Float(), nullable=False, comment="share that was in when the user came in"),
        sa.Column("assigned_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("experiment", "user_id", name="pk_assignments"),
        sqlite_with_rowid=False,
        comment="Registered users who are in; a copy, for reports and joins, of what the salts alone decide.",
    )
    op.create_table(
        "alerts",
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False, comment="what of the experiment: 'all', or an arm and a row"),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("raised_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT),
        sa.Column("cleared_at", MOMENT),
        sa.PrimaryKeyConstraint("experiment", "kind", "subject", name="pk_alerts"),
    )
