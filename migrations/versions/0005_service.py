"""The service: tokens of clients, erased users, and the popularity that serves where an arm fails."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column(
        "experiments",
        sa.Column("fallback", sa.String(), comment="artifact of the popularity that serves where an arm fails"),
    )
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column(
            "secret_hash",
            sa.String(),
            nullable=False,
            comment="sha256 of the secret, which is shown once and kept nowhere",
        ),
        sa.Column("scopes", DOCUMENT, nullable=False),
        sa.Column("experiments", DOCUMENT, comment="keys it is for; none for every experiment"),
        sa.Column("requests_per_second", sa.Float()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("token_id", name="pk_tokens"),
    )
    op.create_table(
        "erasures",
        sa.Column("user_digest", sa.String(), nullable=False, comment="sha256 of the user id, which is kept nowhere"),
        sa.Column("erased_at", MOMENT, nullable=False, comment="what happened before is not taken again"),
        sa.PrimaryKeyConstraint("user_digest", name="pk_erasures"),
    )
