"""Open the database: SQLite in a file, or PostgreSQL; and say in one line what is wrong when it does not answer."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError

from ab_platform.errors import StoreError

BUSY_SECONDS = 60.0
"""How long a SQLite writer waits for another before it gives up."""

_PRAGMAS = (
    "journal_mode = WAL",  # readers and the writer do not wait for each other
    "synchronous = FULL",  # what was committed survives a power cut too, not only the end of the process
    "foreign_keys = ON",
    "temp_store = MEMORY",
    "cache_size = -65536",  # KiB
    "wal_autocheckpoint = 10000",  # pages; ten times the default writes a page that is hit often less often
)


def connect(url: str) -> Engine:
    """Open the database at an address; nothing is sent to it yet.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.

    Raises:
        StoreError: for an address that cannot be read or a driver that is not installed.
    """
    address = _address(url)
    if address.get_backend_name() == "sqlite":
        return _sqlite(address)
    try:
        engine = create_engine(address, pool_pre_ping=True)
    except ImportError as error:
        raise StoreError("PostgreSQL needs its driver; install it: pip install 'ab-platform[postgres]'") from error
    event.listen(engine, "connect", _set_utc)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that only reads.

    Raises:
        StoreError: when the database is away or not migrated.
    """
    with _explained(engine), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that writes all or nothing.

    SQLite takes its one write lock at once: a transaction that reads first and locks later would be refused when
    another wrote in between.

    Raises:
        StoreError: when the database is away or not migrated, or another process writes for too long.
    """
    with _explained(engine), engine.connect() as connection, connection.execution_options(writes=True).begin():
        yield connection


def one_at_a_time(connection: Connection, task: str) -> None:
    """Wait until no other transaction is at this task, and keep others waiting until this one ends.

    A transaction that writes to SQLite has the whole file to itself anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_lock(task))))


def side_by_side(connection: Connection, task: str) -> None:
    """Wait only for a transaction that is at this task by `one_at_a_time`, and keep such waiting until this one ends.

    A transaction that writes to SQLite has the whole file to itself anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock_shared(_lock(task))))


def shown(engine: Engine) -> str:
    """Return the address without its password and options, for messages."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def _lock(task: str) -> int:
    """Return PostgreSQL's number for a task."""
    return int.from_bytes(hashlib.sha256(f"ab-platform/{task}".encode()).digest()[:8], signed=True)


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise StoreError(f"the database address cannot be read; {_SHAPES}") from error
    match address.get_backend_name():
        case "sqlite" if address.database not in (None, "", ":memory:"):
            return address.set(drivername="sqlite+pysqlite")
        case "sqlite":
            raise StoreError(f"a SQLite store needs a file, so that every process sees it; {_SHAPES}")
        case "postgresql":
            return address.set(drivername="postgresql+psycopg")
        case other:
            raise StoreError(f"'{other}' is not a database that the store runs on; {_SHAPES}")


_SHAPES = "write it as sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME (ABP_DATABASE_URL)"


def _sqlite(address: URL) -> Engine:
    folder = Path(str(address.database)).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"folder {folder} cannot be made: {error.strerror}; choose another file") from error
    engine = create_engine(address, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: Any, record: object) -> None:
    # The driver would begin a transaction only before the first write; `_begin` does it before the first read.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_utc(connection: Any, record: object) -> None:
    # A day is a UTC day on the server as well.
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Turn what a person can mend into a StoreError; let the rest, a bug, through."""
    driver = engine.dialect.loaded_dbapi
    assert driver is not None
    try:
        yield
    except (DBAPIError, driver.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        meaning = _meaning(cause, lost=isinstance(cause, driver.OperationalError))
        if meaning is None:
            raise
        raise StoreError(f"the database {shown(engine)} {meaning}") from error


_MEANINGS = {
    "no such table": "is not migrated; run `abp migrate`",
    "database is locked": f"is being written to by another process for over {BUSY_SECONDS:.0f} s; wait, then repeat",
    "file is not a database": "is a file of another kind; choose another file (ABP_DATABASE_URL)",
    "unable to open database file": "cannot be opened; check that its folder may be written to",
    "readonly database": "may not be written to; check the rights of the file and its folder",
    "disk is full": "has no space left on its disk; free some, then repeat",
    "malformed": "is damaged; put a copy of it in its place",
}
"""What SQLite's words mean for a person; what else it says is a bug."""

_UNDEFINED_TABLE = "42P01"
_LOST = ("08", "57")  # classes of codes: connection exception, operator intervention


def _meaning(cause: object, *, lost: bool) -> str | None:
    """Say what the driver's error means and what to do; None for a bug.

    Args:
        cause: the driver's error.
        lost: whether the driver counts it among those that are nobody's mistake.
    """
    if isinstance(cause, sqlite3.Error):
        return next((meaning for words, meaning in _MEANINGS.items() if words in str(cause)), None)
    # PostgreSQL's words depend on its language; its codes do not. What never reached it has no code.
    code = getattr(cause, "sqlstate", None)
    if code == _UNDEFINED_TABLE:
        return _MEANINGS["no such table"]
    if not lost:
        return None
    first_line = str(cause).strip().partition("\n")[0]
    if code is None or code.startswith(_LOST):
        return f"does not answer: {first_line}; start it, or mend ABP_DATABASE_URL"
    return f"gave up: {first_line}; repeat the command"
