"""Documents: what `abp evaluate`, `abp geometry` and trainings found, whole, for who shows it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "documents",
        sa.Column("kind", sa.String(), nullable=False, comment="what it is: comparison, geometry or training"),
        sa.Column(
            "name", sa.String(), nullable=False, comment="of the data set, as a person called it, or an artifact"
        ),
        sa.Column("written_at", MOMENT, nullable=False),
        sa.Column("content", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name="pk_documents"),
        comment="What a command found, whole, for who shows it without computing it again.",
    )
