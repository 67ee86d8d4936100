from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from time import monotonic

import pytest
from sqlalchemy import Column, Engine, Integer, text
from sqlalchemy.exc import DBAPIError

from ab_platform.errors import StoreAwayError, StoreError
from ab_platform.storage import bulk
from ab_platform.storage import connection as connection_module
from ab_platform.storage.connection import connect, reading, writing
from ab_platform.storage.store import Store, open_store


def test_the_folder_of_a_new_sqlite_file_is_made(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'new' / 'folder' / 'abp.db'}", migrate=True)
    assert store.datasets() == ()
    assert (tmp_path / "new" / "folder" / "abp.db").is_file()


def test_sqlite_is_durable_and_checks_references(sqlite_url: str) -> None:
    with reading(connect(sqlite_url)) as connection:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names}
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 60_000}


def test_a_postgresql_session_counts_in_utc(postgres_url: str) -> None:
    with reading(connect(postgres_url)) as connection:
        assert connection.execute(text("SHOW TIME ZONE")).scalar_one() == "UTC"
        assert connection.dialect.driver == "psycopg"


def test_an_exception_inside_a_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        _write_and_fail(store)
    with reading(store.engine) as connection:
        assert not connection.dialect.has_table(connection, "half_done")


def _write_and_fail(store: Store) -> None:
    with writing(store.engine) as connection:
        connection.execute(text("CREATE TABLE half_done (a INTEGER)"))
        raise ZeroDivisionError


def test_a_server_that_is_away_is_one_line_without_the_password() -> None:
    engine = connect("postgresql://ana:secret@127.0.0.1:1/abp?connect_timeout=2&application_name=secret")
    with pytest.raises(StoreAwayError) as caught, reading(engine):
        pass
    message = str(caught.value)
    assert message.startswith("the database postgresql+psycopg://ana:***@127.0.0.1:1/abp does not answer: ")
    assert message.endswith("; start it, or mend ABP_DATABASE_URL")
    assert "\n" not in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense with secret@", "the database address cannot be read; write it as sqlite:///FILE or postgresql://"),
        ("mysql://ana:secret@host/abp", "'mysql' is not a database that the store runs on; write it as sqlite:///FILE"),
        ("sqlite://", "a SQLite store needs a file, so that every process sees it; write it as sqlite:///FILE"),
        ("sqlite:///:memory:", "a SQLite store needs a file"),
    ],
)
def test_an_address_of_another_kind_says_what_is_required(url: str, said: str) -> None:
    with pytest.raises(StoreError) as caught:
        connect(url)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to have a header " * 20)
    with pytest.raises(StoreError, match=r"notes\.txt is a file of another kind; choose another file") as caught:
        open_store(f"sqlite:///{tmp_path / 'notes.txt'}", migrate=True)
    assert not isinstance(caught.value, StoreAwayError)


def test_a_session_that_the_server_ends_is_told_as_the_server_being_away(postgres_url: str) -> None:
    engine, other = connect(postgres_url), connect(postgres_url)
    with pytest.raises(StoreAwayError, match=r"does not answer: terminating connection .*; start it, or mend"):
        _end_and_ask(engine, other)


def _end_and_ask(engine: Engine, other: Engine) -> None:
    with reading(engine) as connection, reading(other) as ending:
        process = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        ending.execute(text(f"SELECT pg_terminate_backend({process})"))
        connection.execute(text("SELECT 1"))


def test_a_statement_that_is_wrong_is_a_bug_and_not_the_databases_fault(store: Store) -> None:
    with pytest.raises(DBAPIError):
        _ask_wrongly(store)


def _ask_wrongly(store: Store) -> None:
    with reading(store.engine) as connection:
        connection.execute(text("SELEC 1"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"folder .*file/below cannot be made: .*; choose another file"):
        connect(f"sqlite:///{tmp_path / 'file' / 'below' / 'abp.db'}")


def test_a_writer_that_waited_for_too_long_is_told_to_repeat(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "BUSY_SECONDS", 0.01)
    with (
        writing(connect(sqlite_url)),
        pytest.raises(StoreAwayError, match=r"being written to by another .*; wait, then"),
    ):
        open_store(sqlite_url, migrate=True)


def patient_for(seconds: float, url: str, *, connections: int = 5) -> Engine:
    return connect(url, timeout_seconds=seconds, connections=connections)


def test_a_statement_that_takes_too_long_is_a_database_that_is_away(postgres_url: str) -> None:
    began = monotonic()
    with pytest.raises(StoreAwayError, match=r"did not answer in time: canceling .* statement timeout; repeat"):
        _ask(patient_for(0.3, postgres_url), "SELECT pg_sleep(30)")
    assert monotonic() - began < 10


def _ask(engine: Engine, statement: str) -> None:
    with reading(engine) as connection:
        connection.execute(text(statement))


def test_a_table_that_is_locked_for_too_long_is_a_database_that_is_away(postgres_url: str) -> None:
    with writing(connect(postgres_url)) as connection:
        connection.execute(text("LOCK TABLE events"))
        with pytest.raises(StoreAwayError, match=r"did not answer in time: canceling statement due to .* timeout"):
            _ask(patient_for(0.3, postgres_url), "SELECT * FROM events")


def test_a_lock_may_be_waited_for_less_than_a_statement_may_take(postgres_url: str) -> None:
    with reading(patient_for(1.5, postgres_url)) as connection:
        found = [
            connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("statement_timeout", "lock_timeout", "TimeZone")
        ]
    assert found == ["1500ms", "1500ms", "UTC"]
    with reading(connect(postgres_url)) as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "0"


def test_a_writer_that_may_not_wait_for_long_says_how_long_it_waited(sqlite_url: str) -> None:
    began = monotonic()
    with writing(connect(sqlite_url)), pytest.raises(StoreAwayError, match=r"by another process for over 1 s; wait"):
        _write(patient_for(1.0, sqlite_url))
    assert 0.5 < monotonic() - began < 10


def _write(engine: Engine) -> None:
    with writing(engine):
        pass


def test_connections_that_are_all_in_use_are_a_database_that_is_away(url: str) -> None:
    engine = patient_for(0.2, url, connections=1)
    with reading(engine), pytest.raises(StoreAwayError, match=r"all 1 connections are in use for over 0.2 s; repeat"):
        _ask(engine, "SELECT 1")
    _ask(engine, "SELECT 1")


@pytest.mark.parametrize("kind", ["statement", "copy"])
def test_a_server_that_is_there_and_says_nothing_is_given_up(postgres_url: str, kind: str) -> None:
    engine, began = patient_for(0.5, postgres_url), monotonic()
    stopped: list[int] = []
    try:
        with pytest.raises(StoreAwayError, match=r"does not answer: "):
            _stop_and_ask(engine, stopped, kind)
    finally:
        os.kill(stopped[0], signal.SIGCONT)
    assert monotonic() - began < 10
    _ask(engine, "SELECT 1")


def _stop_and_ask(engine: Engine, stopped: list[int], kind: str) -> None:
    """Stop the process that serves a connection, as a machine that hangs would."""
    staged = bulk.stage("staged_here", Column("number", Integer))
    with writing(engine) as connection:
        bulk.empty(connection, staged)
        stopped.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        os.kill(stopped[0], signal.SIGSTOP)
        if kind == "copy":
            bulk.fill(connection, staged, rows=[(1,)])
        connection.execute(text("SELECT 1"))


def test_a_store_that_is_opened_for_a_service_gives_up_in_time(tmp_path: Path) -> None:
    began = monotonic()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"postgresql://ana@127.0.0.1:{silent.getsockname()[1]}/abp"
        with pytest.raises(StoreAwayError, match="does not answer: "):
            open_store(address, migrate=False, timeout_seconds=0.5, connections=2)
    assert monotonic() - began < 10


def test_a_file_whose_folder_is_gone_is_away_and_one_that_is_not_migrated_is_not(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'gone' / 'abp.db'}")
    (tmp_path / "gone").rmdir()
    with pytest.raises(StoreAwayError, match="cannot be opened; check that its folder may be written to"):
        _ask(engine, "SELECT 1")
    with pytest.raises(StoreError, match="is not migrated") as caught:
        Store(connect(f"sqlite:///{tmp_path / 'new.db'}")).datasets()
    assert not isinstance(caught.value, StoreAwayError)


def test_a_full_disk_is_a_database_that_is_away(sqlite_url: str) -> None:
    with pytest.raises(StoreAwayError, match="has no space left on its disk"):
        _fill_the_disk(connect(sqlite_url))


def _fill_the_disk(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.exec_driver_sql("CREATE TABLE big (bytes)")
        connection.exec_driver_sql("INSERT INTO big SELECT randomblob(400000)")


def test_processes_that_open_a_new_file_at_once_do_not_find_it_busy(tmp_path: Path) -> None:
    for number in range(10):
        barrier = Barrier(3)
        engines = [connect(f"sqlite:///{tmp_path / f'{number}.db'}") for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            writing_at_once = [pool.submit(_write_together, engine, barrier) for engine in engines]
        for each in writing_at_once:
            each.result()


def _write_together(engine: Engine, barrier: Barrier) -> None:
    barrier.wait()
    _write(engine)
