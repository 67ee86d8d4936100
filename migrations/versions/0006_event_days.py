"""Events by day: on PostgreSQL, the raw events of a UTC day of ids lie in a table of their own and can go as a whole.

SQLite keeps them in one table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ab_platform.errors import StoreError

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MILLISECONDS = "('x' || left(replace(event_id::text, '-', ''), 12))::bit(48)::bigint"
TIME_ORDERED = f"event_id::text LIKE '________-____-7%' AND {MILLISECONDS} < 253370764800000"  # up to the year 9998


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    # Nobody writes in between, and who reads waits rather than being in the way later.
    op.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
    refuse_others(connection)
    op.execute("ALTER TABLE events RENAME TO events_of_before")
    op.execute("ALTER TABLE events_of_before RENAME CONSTRAINT pk_events TO pk_events_of_before")
    op.execute("ALTER INDEX ix_events_experiment_user_id RENAME TO ix_events_of_before")
    op.execute("CREATE TABLE events (LIKE events_of_before INCLUDING DEFAULTS) PARTITION BY RANGE (event_id)")
    days = (
        "SELECT to_char(day, 'YYYYMMDD'), lower, upper FROM ("
        f"SELECT DISTINCT to_timestamp(({MILLISECONDS} / 86400000) * 86400) AT TIME ZONE 'UTC' AS day, "
        f"{first_id(f'{MILLISECONDS} / 86400000')} AS lower, {first_id(f'{MILLISECONDS} / 86400000 + 1')} AS upper "
        "FROM events_of_before) AS days ORDER BY day"
    )
    for day, lower, upper in connection.exec_driver_sql(days).all():
        op.execute(f"CREATE TABLE events_{day} PARTITION OF events FOR VALUES FROM ('{lower}') TO ('{upper}')")
    op.execute("INSERT INTO events SELECT * FROM events_of_before ORDER BY event_id")
    # Indexes over what is there already are built faster than row by row.
    op.execute("ALTER TABLE events ADD CONSTRAINT pk_events PRIMARY KEY (event_id)")
    op.create_index("ix_events_experiment_user_id", "events", ["experiment", "user_id"])
    op.execute("DROP TABLE events_of_before")


def refuse_others(connection: sa.Connection) -> None:
    """Refuse to go on where an id does not tell its day.

    Raises:
        StoreError: with how many there are, and one of them.
    """
    query = f"SELECT count(*), min(event_id::text) FROM events WHERE NOT ({TIME_ORDERED})"
    count, one = connection.exec_driver_sql(query.replace("%", "%%")).one()
    if count:
        raise StoreError(
            f"{count} events have an id that is not a UUID of version 7 of a year up to 9998, such as {one}; an id "
            "must tell its day: delete them from the table 'events', or give them such ids, then run `abp migrate`"
        )


def first_id(day: str) -> str:
    """Write the lowest id of a day, counted from 1970."""
    return f"rpad(lpad(to_hex(({day}) * 86400000), 12, '0'), 32, '0')::uuid"
