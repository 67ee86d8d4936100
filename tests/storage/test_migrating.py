from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from ab_platform.errors import StoreError
from ab_platform.storage.connection import connect, reading, writing
from ab_platform.storage.migrating import VERSION_TABLE, check_migrated, migrate, migrations_folder
from ab_platform.storage.schema import metadata
from ab_platform.storage.store import Store, open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    address: str = request.getfixturevalue("empty_postgres_url")
    return address


def test_the_migrated_schema_equals_the_metadata(store: Store) -> None:
    with reading(store.engine) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrated_sqlite_file_is_word_for_word_what_the_metadata_makes(sqlite_url: str, tmp_path: Path) -> None:
    made = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    metadata.create_all(made)
    assert _statements(connect(sqlite_url)) == _statements(made)


def _statements(engine: Engine) -> dict[str, list[str]]:
    """Return the parts of each CREATE statement, but for Alembic's own table and the order of constraints."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return {name: sorted(re.split(r",?\s*\n\s*", sql.strip())) for name, sql in rows if name != VERSION_TABLE}


def test_a_second_migration_applies_nothing(empty_url: str) -> None:
    engine = connect(empty_url)
    assert migrate(engine) == ("0001",)
    assert migrate(engine) == ()
    check_migrated(engine)


def test_two_migrations_at_once_apply_every_revision_once(empty_url: str) -> None:
    barrier = Barrier(2)

    def migrate_together(engine: Engine) -> tuple[str, ...]:
        barrier.wait()
        return migrate(engine)

    with ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(migrate_together, [connect(empty_url), connect(empty_url)]))
    assert sorted(applied) == [(), ("0001",)]


def test_a_migration_that_fails_leaves_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alembic.op.create_index", _fail)
    engine = connect(empty_url)
    with pytest.raises(RuntimeError):
        migrate(engine)
    assert inspect(engine).get_table_names() == []


def _fail(*_: object) -> None:
    raise RuntimeError


def test_a_database_without_tables_names_the_command(empty_url: str) -> None:
    with pytest.raises(StoreError, match=r"has no tables yet; it must be at 0001: run `abp migrate`"):
        open_store(empty_url, migrate=False)


def test_a_table_that_is_missing_names_the_command(empty_url: str) -> None:
    with pytest.raises(StoreError, match="is not migrated; run `abp migrate`"):
        Store(connect(empty_url)).datasets()


def test_a_database_of_a_newer_version_is_left_alone(store: Store) -> None:
    with writing(store.engine) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for refused in (migrate, check_migrated):
        with pytest.raises(
            StoreError, match="at revision 9999, which this version does not know; upgrade: pip install"
        ):
            refused(store.engine)


def test_the_migrations_are_found() -> None:
    assert (migrations_folder() / "env.py").is_file()
