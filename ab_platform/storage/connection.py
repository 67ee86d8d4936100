"""Open the database: SQLite in a file, or PostgreSQL; and say in one line what is wrong when it does not answer."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from ab_platform.errors import StoreAwayError, StoreError
from ab_platform.storage import answering

BUSY_SECONDS = 60.0
"""How long a SQLite writer waits for another before it gives up, where nothing else is said."""

POOL_SECONDS = 30.0
"""How long a thread waits for a connection that another one uses, where nothing else is said."""

_SHORTEST_CONNECT_SECONDS = 2
"""The driver takes no less."""

_BUSY_SECONDS = "busy_seconds"
"""The option of an engine that keeps how long a SQLite writer waits."""

_PRAGMAS = (
    "synchronous = FULL",  # what was committed survives a power cut too, not only the end of the process
    "foreign_keys = ON",
    "temp_store = MEMORY",
    "cache_size = -65536",  # KiB
    "wal_autocheckpoint = 10000",  # pages; ten times the default writes a page that is hit often less often
)


def connect(url: str, *, timeout_seconds: float | None = None, connections: int = 5, read_only: bool = False) -> Engine:
    """Open the database at an address; nothing is sent to it yet.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.
        timeout_seconds: the longest wait for a connection, for a lock and for a statement, each; past it, a
            StoreAwayError. None for patience: only those who wait for SQLite's lock or a connection give up, late.
        connections: open at once, at most.
        read_only: let the database itself refuse every write, whatever the rights of who asks.

    Raises:
        StoreError: for an address that cannot be read or a driver that is not installed.
    """
    address = _address(url)
    pool = {"pool_size": connections, "max_overflow": 0, "pool_timeout": timeout_seconds or POOL_SECONDS}
    pool["hide_parameters"] = True  # users' ids are among them, and messages go to logs
    if address.get_backend_name() == "sqlite":
        return _sqlite(address, timeout_seconds or BUSY_SECONDS, pool, read_only=read_only)
    limits = (
        {} if timeout_seconds is None else {"connect_timeout": max(_SHORTEST_CONNECT_SECONDS, ceil(timeout_seconds))}
    )
    try:
        engine = create_engine(address, pool_pre_ping=True, connect_args=limits, **pool)
    except ImportError as error:
        raise StoreError("PostgreSQL needs its driver; install it: pip install 'ab-platform[postgres]'") from error
    event.listen(engine, "connect", _setting_up(timeout_seconds, read_only=read_only))
    if timeout_seconds is not None:
        event.listen(engine, "do_connect", answering.connecting(timeout_seconds))
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that only reads.

    Raises:
        StoreAwayError: when the database does not answer, or not in time.
        StoreError: when it is not migrated, or holds something else.
    """
    with _explained(engine), engine.begin() as connection:
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Give a connection whose statements all see the database as it was at the first of them, and only read.

    Raises:
        StoreAwayError: when the database does not answer, or not in time.
        StoreError: when it is not migrated, or holds something else.
    """
    with _explained(engine), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that writes all or nothing.

    SQLite takes its one write lock at once: a transaction that reads first and locks later would be refused when
    another wrote in between.

    Raises:
        StoreAwayError: when the database does not answer, or not in time, or another process writes for too long.
        StoreError: when it is not migrated, or holds something else.
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


def code_of(error: BaseException | None) -> str | None:
    """Return PostgreSQL's code of an error of the driver, also where it was wrapped; None where there is none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code: str | None = getattr(cause, "sqlstate", None)
    return code


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


def _sqlite(address: URL, busy_seconds: float, pool: Mapping[str, Any], *, read_only: bool) -> Engine:
    if not read_only:
        _make_folder(Path(str(address.database)).absolute().parent)
    told = {_BUSY_SECONDS: busy_seconds}
    engine = create_engine(address, connect_args={"timeout": busy_seconds}, execution_options=told, **pool)
    event.listen(engine, "connect", _only_read if read_only else _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"folder {folder} cannot be made: {error.strerror}; choose another file") from error


def _only_read(connection: Any, record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA temp_store = MEMORY")


def _set_pragmas(connection: Any, record: object) -> None:
    # The driver would begin a transaction only before the first write; `_begin` does it before the first read.
    connection.isolation_level = None
    _write_ahead(connection)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: Any) -> None:
    """Let readers and the writer of a file not wait for each other; of several who open a new one, one says so."""
    (busy_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    deadline = monotonic() + busy_ms / 1000
    # Here SQLite does not wait for others by itself.
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if monotonic() > deadline:
                raise
            sleep(0.01)


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _setting_up(timeout_seconds: float | None, *, read_only: bool) -> Callable[[Any, object], None]:
    """Return what is done with each new connection to PostgreSQL."""

    def set_up(connection: Any, record: object) -> None:
        # A day is a UTC day on the server as well.
        connection.execute("SET TIME ZONE 'UTC'")
        if read_only:
            connection.execute("SET default_transaction_read_only = on")
        if timeout_seconds is not None:
            for limit in ("statement_timeout", "lock_timeout"):
                connection.execute(f"SET {limit} = {max(1, round(timeout_seconds * 1000))}")
        connection.commit()

    return set_up


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Turn what a person can mend into a StoreError; let the rest, a bug, through."""
    driver = engine.dialect.loaded_dbapi
    assert driver is not None
    try:
        yield
    except PoolTimeout as error:
        pool = cast(QueuePool, engine.pool)
        raise StoreAwayError(
            f"the database {shown(engine)} was not reached in time: all {pool.size()} connections are in use for over "
            f"{pool.timeout():g} s; repeat, or allow more"
        ) from error
    except (DBAPIError, driver.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        found = _meaning(
            cause,
            lost=isinstance(cause, driver.OperationalError),
            busy_seconds=engine.get_execution_options().get(_BUSY_SECONDS, 0.0),
        )
        if found is None:
            raise
        kind, meaning = found
        raise kind(f"the database {shown(engine)} {meaning}") from error


_Meaning = tuple[type[StoreError], str]

_MEANINGS: Mapping[str, _Meaning] = {
    "no such table": (StoreError, "is not migrated; run `abp migrate`"),
    "database is locked": (
        StoreAwayError,
        "is being written to by another process for over {busy_seconds:.0f} s; wait, then repeat",
    ),
    "file is not a database": (StoreError, "is a file of another kind; choose another file (ABP_DATABASE_URL)"),
    "unable to open database file": (
        StoreAwayError,
        "cannot be opened; check that its folder may be written to",
    ),
    "readonly database": (StoreError, "may not be written to; check the rights of the file and its folder"),
    "disk is full": (StoreAwayError, "has no space left on its disk; free some, then repeat"),
    "disk I/O error": (StoreAwayError, "cannot be read or written: its disk fails, or has no space left"),
    "malformed": (StoreError, "is damaged; put a copy of it in its place"),
}
"""What SQLite's words mean for a person, and whether it may pass; what else it says is a bug."""

_UNDEFINED_TABLE = "42P01"
_NOT_ALLOWED = "42501"
_READ_ONLY = "25006"
_NOT_IN_TIME = ("57014", "55P03")  # statement and lock timeout
_LOST = ("08", "57")  # classes of codes: connection exception, operator intervention


def _meaning(cause: object, *, lost: bool, busy_seconds: float) -> _Meaning | None:
    """Say what the driver's error means and what to do; None for a bug.

    Args:
        cause: the driver's error.
        lost: whether the driver counts it among those that are nobody's mistake.
        busy_seconds: how long a SQLite writer waited.
    """
    if isinstance(cause, sqlite3.Error):
        known = (meaning for words, meaning in _MEANINGS.items() if words in str(cause))
        return next(((kind, words.format(busy_seconds=busy_seconds)) for kind, words in known), None)
    # PostgreSQL's words depend on its language; its codes do not. What never reached it has no code.
    code = getattr(cause, "sqlstate", None)
    if code == _UNDEFINED_TABLE:
        return _MEANINGS["no such table"]
    first_line = str(cause).strip().partition("\n")[0]
    if code == _NOT_ALLOWED:
        return StoreError, f"does not let this role do that: {first_line}; grant it, or use another role"
    if code == _READ_ONLY:
        return StoreAwayError, f"may not be written to: {first_line}; wait until it is the primary, or mend its address"
    if not lost:
        return None
    if code in _NOT_IN_TIME:
        return StoreAwayError, f"did not answer in time: {first_line}; repeat, or find out what holds it up"
    if code is None or code.startswith(_LOST):
        return StoreAwayError, f"does not answer: {first_line}; start it, or mend ABP_DATABASE_URL"
    return StoreAwayError, f"gave up: {first_line}; repeat the command"
