"""Studies: the trials of a search by number, also unfinished ones; trials keep their NDCG by epoch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    # Of the trials that stand, nobody knows the epochs.
    op.add_column(
        "trials", sa.Column("curve", DOCUMENT, nullable=False, server_default="{}", comment="NDCG@100 by epoch")
    )
    op.create_table(
        "study_trials",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("recommender", sa.String(), nullable=False),
        sa.Column("config", DOCUMENT, nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("data_hash", sa.String(), nullable=False),
        sa.Column("code_version", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("curve", DOCUMENT, nullable=False, comment="NDCG@100 by epoch"),
        sa.Column("validation_ndcg", sa.Float(), comment="none unless it is complete"),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("study", "number", name="pk_study_trials"),
        comment="Trials of a search by their number, also unfinished ones; a complete one is a trial too.",
    )
