"""Bring the database's tables up to date, or say that they are not."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

import ab_platform
from ab_platform.errors import StoreError
from ab_platform.storage import partitions
from ab_platform.storage.connection import one_at_a_time, reading, shown, writing

VERSION_TABLE = "abp_version"
"""Where the revision is kept; Airflow's own database uses Alembic's default name."""


def migrate(engine: Engine) -> tuple[str, ...]:
    """Apply what is missing, all or nothing; of two processes at once, the second finds nothing to do.

    Returns:
        The revisions that were applied, in order.

    Raises:
        StoreError: when the database is away, or ahead of this version.
    """
    scripts = _scripts()
    with writing(engine) as connection:
        one_at_a_time(connection, "migrate")
        missing = _missing(engine, scripts, _revision(connection))
        if missing:
            command.upgrade(configured(connection), "head")
    return missing


def check_migrated(engine: Engine) -> None:
    """Check that every migration is applied.

    Raises:
        StoreError: naming `abp migrate` where one is missing, or when the database is away or ahead of this version.
    """
    with reading(engine) as connection:
        found = _revision(connection)
    missing = _missing(engine, _scripts(), found)
    if missing:
        where = "has no tables yet" if found is None else f"is at revision {found}"
        raise StoreError(f"the database {shown(engine)} {where}; it must be at {missing[-1]}: run `abp migrate`")


def is_compared(name: str | None, kind: str, parents: object) -> bool:
    """Tell whether Alembic compares something with the metadata; not the partitions of days."""
    return not (kind == "table" and partitions.is_day(name))


def configured(connection: Connection) -> Config:
    """Return Alembic's settings for a connection, in whose transaction the migrations run."""
    config = _config()
    config.attributes["connection"] = connection
    return config


def migrations_folder() -> Path:
    """Find the migrations: inside the package where it was installed, beside it in a checkout."""
    package = Path(ab_platform.__file__).parent
    inside, beside = package / "migrations", package.parent / "migrations"
    return inside if inside.is_dir() else beside


def _missing(engine: Engine, scripts: ScriptDirectory, found: str | None) -> tuple[str, ...]:
    known = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    if found is None:
        return tuple(known)
    if found not in known:
        raise StoreError(
            f"the database {shown(engine)} is at revision {found}, which this version does not know; "
            "upgrade: pip install --upgrade ab-platform"
        )
    return tuple(known[known.index(found) + 1 :])


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config
