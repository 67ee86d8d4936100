from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from ab_platform.errors import StoreError
from ab_platform.events import event_id
from ab_platform.storage import partitions
from ab_platform.storage.connection import connect, reading, writing
from ab_platform.storage.migrating import (
    VERSION_TABLE,
    check_migrated,
    configured,
    is_compared,
    migrate,
    migrations_folder,
)
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
    store.make_partitions(since=date(2026, 3, 1), days=2)
    with reading(store.engine) as connection:
        told = {"version_table": VERSION_TABLE, "compare_type": True, "include_name": is_compared}
        context = MigrationContext.configure(connection, opts=told)
        assert compare_metadata(context, metadata) == []


def test_the_migrated_sqlite_file_is_word_for_word_what_the_metadata_makes(sqlite_url: str, tmp_path: Path) -> None:
    made = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    metadata.create_all(made)
    assert _statements(connect(sqlite_url)) == _statements(made)


def _statements(engine: Engine) -> dict[str, list[str]]:
    """Return the parts of each CREATE statement, but for Alembic's own table and the order of constraints."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return {name: sorted(re.split(r",\s+|\s*\n\s*", sql.strip())) for name, sql in rows if name != VERSION_TABLE}


def test_a_second_migration_applies_nothing(empty_url: str) -> None:
    engine = connect(empty_url)
    assert migrate(engine) == ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
    assert migrate(engine) == ()
    check_migrated(engine)


def test_two_migrations_at_once_apply_every_revision_once(empty_url: str) -> None:
    barrier = Barrier(2)

    def migrate_together(engine: Engine) -> tuple[str, ...]:
        barrier.wait()
        return migrate(engine)

    with ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(migrate_together, [connect(empty_url), connect(empty_url)]))
    assert sorted(applied) == [(), ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")]


def test_a_migration_that_fails_leaves_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alembic.op.create_index", _fail)
    engine = connect(empty_url)
    with pytest.raises(RuntimeError):
        migrate(engine)
    assert inspect(engine).get_table_names() == []


def _fail(*_: object) -> None:
    raise RuntimeError


def test_a_database_without_tables_names_the_command(empty_url: str) -> None:
    with pytest.raises(StoreError, match=r"has no tables yet; it must be at 0009: run `abp migrate`"):
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


def test_what_was_computed_before_is_kept_and_what_counts_more_is_counted_anew(empty_url: str) -> None:
    engine = connect(empty_url)
    with writing(engine) as connection:
        command.upgrade(configured(connection), "0001")
        for statement in BEFORE_0002:
            connection.execute(text(statement))
    assert migrate(engine) == ("0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
    with reading(engine) as connection:
        lifts = connection.execute(text("SELECT metric, lift, role, difference, interval_alpha FROM lifts")).all()
        splits = connection.execute(text("SELECT scope, p_value, e_value FROM sample_ratios")).all()
        opened = connection.execute(text("SELECT experiment, user_id FROM open_user_days")).all()
        user_days = connection.execute(text("SELECT count(*) FROM user_days")).scalar_one()
    assert [tuple(row) for row in lifts] == [("play_duration", 0.5, "secondary", 5.0, 0.05)]
    assert [tuple(row) for row in splits] == [("all", 0.6, None)]
    assert [tuple(row) for row in opened] == [("old", "u")]
    assert user_days == 0


BEFORE_0002 = (
    "INSERT INTO user_days (experiment, user_id, surface, day, arm, impressions, clicks, watch_seconds, last_at) "
    "VALUES ('old', 'u', 'home_card', '2026-03-01', 'pia', 3, 1, 2.5, '2026-03-01 10:00:00')",
    "INSERT INTO lifts (experiment, as_of, surface, metric, arm, method, alpha, watermark, users_control, "
    "users_treatment, numerator_control, numerator_treatment, denominator_control, denominator_treatment, control, "
    "treatment, lift, low, high, p_value) VALUES ('old', '2026-03-01', 'home_card', 'play_duration', 'pia', 'fieller', "
    "0.05, '2026-03-01 10:00:00', 2, 2, 20, 30, 2, 2, 10, 15, 0.5, 0.1, 0.9, 0.01)",
    "INSERT INTO sample_ratios (experiment, as_of, scope, watermark, arms, counts, expected, chi2, p_value, alarm) "
    "VALUES ('old', '2026-03-01', 'all', '2026-03-01 10:00:00', '[]', '[]', '[]', 0.2, 0.6, false)",
)


def test_the_days_of_who_clicked_on_several_are_counted_anew(empty_url: str) -> None:
    engine = connect(empty_url)
    with writing(engine) as connection:
        command.upgrade(configured(connection), "0002")
        for user, day, clicks in (("u", 1, 1), ("u", 2, 0), ("u", 3, 2), ("v", 1, 2), ("v", 2, 0)):
            values = f"'old', '{user}', 'home_card', '2026-03-0{day}', 'pia', 3, 1, 1, {clicks}, 0, 0, 0, 0, 0, 0, 0, 0"
            connection.execute(text(f"INSERT INTO user_days VALUES ({values}, '2026-03-0{day} 10:00:00')"))
    assert migrate(engine) == ("0003", "0004", "0005", "0006", "0007", "0008", "0009")
    with reading(engine) as connection:
        opened = connection.execute(text("SELECT user_id, day FROM open_user_days")).all()
    assert [(user, str(day)) for user, day in opened] == [("u", "2026-03-01")]


def test_a_trial_of_before_is_kept_and_nobody_knows_its_epochs(empty_url: str) -> None:
    engine = connect(empty_url)
    with writing(engine) as connection:
        command.upgrade(configured(connection), "0003")
        values = "'k', 'pia', '{\"latent\": 4}', 0, 'small', 'data', 'code', 0.25, '2026-03-01 10:00:00'"
        connection.execute(text(f"INSERT INTO trials VALUES ({values})"))
    assert migrate(engine) == ("0004", "0005", "0006", "0007", "0008", "0009")
    [trial] = Store(engine).trials("pia", "data", "code")
    assert (trial.recipe.config, trial.validation_ndcg, trial.curve) == ({"latent": 4}, 0.25, {})


def with_events_of_before(engine: Engine) -> list[tuple[object, ...]]:
    """Fill a database of revision 0005 with events of three days, and return them."""
    ids = [event_id(at, str(at)) for at in (*EDGES, EDGES[0] + timedelta(hours=5))]
    with writing(engine) as connection:
        command.upgrade(configured(connection), "0005")
        for number, identity in enumerate(ids):
            values = f"'{identity}', 'click', 'old', 'u{number}', 'pia', 'home_card', 't', '2026-03-01 10:00:00'"
            columns = "event_id, kind, experiment, user_id, arm, surface, title_id, at"
            connection.execute(text(f"INSERT INTO events ({columns}) VALUES ({values})"))
    return everything(engine)


EDGES = (
    datetime(2026, 3, 1, tzinfo=UTC),
    datetime(2026, 3, 1, 23, 59, 59, 999000, tzinfo=UTC),
    datetime(2026, 3, 2, tzinfo=UTC),
    datetime(1999, 12, 31, 12, tzinfo=UTC),
)


def everything(engine: Engine) -> list[tuple[object, ...]]:
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text("SELECT * FROM events ORDER BY event_id"))]


def days_made(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return [f"{day:%Y-%m-%d}" for day in partitions.made(connection)]


def test_a_table_of_events_keeps_its_rows_when_it_is_parted_by_day(empty_url: str) -> None:
    engine = connect(empty_url)
    rows = with_events_of_before(engine)
    assert migrate(engine) == ("0006", "0007", "0008", "0009")
    assert (everything(engine), len(rows)) == (rows, 5)
    if engine.dialect.name == "postgresql":
        assert days_made(engine) == ["1999-12-31", "2026-03-01", "2026-03-02"]
        assert partitions_hold(engine) == {"19991231": 1, "20260301": 3, "20260302": 1}


def partitions_hold(engine: Engine) -> dict[str, int]:
    query = "SELECT right(tableoid::regclass::text, 8) AS day, count(*) FROM events GROUP BY day"
    with reading(engine) as connection:
        return {day: count for day, count in connection.exec_driver_sql(query)}  # noqa: C416


def test_two_that_part_a_table_of_events_at_once_do_it_once(empty_postgres_url: str) -> None:
    rows = with_events_of_before(connect(empty_postgres_url))
    with ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(migrate, [connect(empty_postgres_url), connect(empty_postgres_url)]))
    assert sorted(applied) == [(), ("0006", "0007", "0008", "0009")]
    assert everything(connect(empty_postgres_url)) == rows


def test_an_event_that_does_not_tell_its_day_stops_the_migration_and_stays(empty_postgres_url: str) -> None:
    engine = connect(empty_postgres_url)
    with_events_of_before(engine)
    other = uuid4()
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE events SET event_id = '{other}' WHERE user_id = 'u1'"))
    rows = everything(engine)
    with pytest.raises(StoreError, match=rf"1 events have an id that is not a UUID of version 7 .*, such as {other}"):
        migrate(engine)
    assert everything(engine) == rows
