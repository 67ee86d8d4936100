"""Changed days: which days' rows changed since they were archived. Of a database that is there, all days did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

EVERY_DAY = """
    INSERT INTO changed_days (day, changed, archived)
    SELECT day, 1, 0 FROM (
        SELECT day FROM user_days
        UNION SELECT date(at) FROM exposures
        UNION SELECT date(at) FROM events
    ) AS days
"""


def upgrade() -> None:
    op.create_table(
        "changed_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False, comment="transactions that changed rows of the day"),
        sa.Column(
            "archived",
            sa.Integer(),
            nullable=False,
            comment="how many of them the archive holds; fewer where it is stale",
        ),
        sa.PrimaryKeyConstraint("day", name="pk_changed_days"),
        comment="Days of user-days, exposures and events, and whether the archive holds them as they are.",
    )
    # On PostgreSQL a session that migrates has UTC days, as every one of the platform.
    op.execute(EVERY_DAY)
