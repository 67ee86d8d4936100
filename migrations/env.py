"""Run migrations on the connection that `ab_platform.storage.migrating` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from ab_platform.storage.migrating import VERSION_TABLE, is_compared
from ab_platform.storage.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=is_compared,
    # SQLite cannot alter most of a table: a migration copies it instead.
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
