from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from ab_platform.errors import StoreError
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
    with pytest.raises(StoreError) as caught, reading(engine):
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
    with pytest.raises(StoreError, match=r"notes\.txt is a file of another kind; choose another file"):
        open_store(f"sqlite:///{tmp_path / 'notes.txt'}", migrate=True)


def test_a_session_that_the_server_ends_is_told_as_the_server_being_away(postgres_url: str) -> None:
    engine, other = connect(postgres_url), connect(postgres_url)
    with pytest.raises(StoreError, match=r"does not answer: terminating connection .*; start it, or mend"):
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
    with writing(connect(sqlite_url)), pytest.raises(StoreError, match=r"being written to by another .*; wait, then"):
        open_store(sqlite_url, migrate=True)
