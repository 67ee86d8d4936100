"""Other engines over the archive: the same sums, of whole files only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from ab_platform.errors import StoreError
from ab_platform.storage import day_counts, per_user
from ab_platform.storage.archive import Archive
from ab_platform.storage.connection import writing
from ab_platform.storage.schema import exposures, user_days
from ab_platform.storage.store import PerUser, Population, Store, open_store
from ab_platform.storage.warehouse import ArchiveReads, open_engine
from tests.storage.made import KEY, START, after, impression, started, watch
from tests.storage.warehouse.exported import exported

WHO = Population(KEY, after(days=6).date(), "ml-1m")
BEFORE = Population(KEY, after(days=6).date(), "ml-1m", ("earlier",), 3)
SECONDS, CLICKED = PerUser("watch_seconds"), PerUser("clicked")
FAMILY = [SECONDS, CLICKED, PerUser("watch_seconds", "before"), PerUser("known", "before")]
ROOT = Path(__file__).parents[3]
SPARK = ROOT / ".venv-spark" / "bin" / "python"
DIALECTS = ("duckdb", "sqlite", "postgres", "clickhouse", "bigquery", "snowflake", "trino")


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """A migrated store without rows; what differs between databases is told by the tests of the readout."""
    opened = open_store(sqlite_url, migrate=False)
    yield opened
    opened.close()


@contextmanager
def reading(store: Store, archive: Archive, engine: str = "duckdb") -> Iterator[ArchiveReads]:
    opened = open_engine(engine, beside=archive.folder)
    yield ArchiveReads(store, archive, opened)
    opened.close()


@pytest.fixture
def small(store: Store) -> Store:
    """Three users of one arm."""
    started(store)
    for user in ("u", "v", "w"):
        store.record([impression(user, START), watch(user, after(days=1), 7.5)])
    store.roll_up()
    return store


DAYS = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from("abcdefgh"),
        "surface": st.sampled_from(["home_card", "movie_card"]),
        "day": st.integers(-4, 6),
        "clicks": st.integers(0, 3),
        "steps": st.integers(0, 86_400_000),
    }
)


def put(store: Store, drawn: list[dict[str, object]]) -> None:
    """Store user-days: those before the experiment are of the earlier one, the first of the others is the exposure."""
    rows = [
        user_day(each) for each in {(each["user_id"], each["surface"], each["day"]): each for each in drawn}.values()
    ]
    exposed: dict[tuple[object, object], dict[str, object]] = {}
    for row in sorted(rows, key=lambda row: str(row["day"])):
        if row["experiment"] == KEY:
            key = {name: row[name] for name in ("experiment", "user_id", "surface", "arm")}
            exposed.setdefault((row["user_id"], row["surface"]), {**key, "at": row["last_at"]})
    with writing(store.engine) as connection:
        for table, found in ((user_days, rows), (exposures, list(exposed.values()))):
            connection.execute(delete(table))
            if found:
                connection.execute(insert(table), found)


def user_day(drawn: dict[str, object]) -> dict[str, object]:
    number = int(str(drawn["day"]))
    counts = {column.name: 0 for column in user_days.c if column.name not in drawn}
    told = {
        "experiment": KEY if number >= 0 else "earlier",
        "arm": "control" if str(drawn["user_id"]) < "e" else "pia",
        "day": after(days=number).date(),
        "watch_seconds": int(str(drawn["steps"])) / 1_000,
        "last_at": after(days=number, seconds=60),
    }
    named = {name: drawn[name] for name in ("user_id", "surface", "clicks")}
    return {**counts, **named, **told}


def test_whatever_users_did_the_sums_are_those_of_the_database(store: Store, tmp_path: Path) -> None:
    started(store)
    engine = open_engine("duckdb", beside=tmp_path)
    folders = (tmp_path / f"archive-{number}" for number in range(1_000))

    @settings(max_examples=8)
    @given(st.lists(DAYS, max_size=40))
    def same(drawn: list[dict[str, object]]) -> None:
        put(store, drawn)
        reads = ArchiveReads(store, exported(store, next(folders), shards=2), engine)
        assert reads.cells(BEFORE, [FAMILY], ["cohort"]) == store.cells(BEFORE, [FAMILY], ["cohort"])

    same()
    engine.close()


def test_an_engine_that_ibis_connects_to_gives_the_same_sums(
    small: Store, empty_postgres_url: str, tmp_path: Path
) -> None:
    with reading(small, exported(small, tmp_path / "archive"), empty_postgres_url) as reads:
        assert reads.cells(WHO, [[SECONDS]]) == small.cells(WHO, [[SECONDS]])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_query_is_written_in_the_words_of_every_engine(dialect: str) -> None:
    columns = [*FAMILY, PerUser("returned_1"), PerUser("age", "attribute")]
    assert "product_0" in per_user.sums(BEFORE, [columns], ["device", "cohort"], dialect=dialect)
    assert "before_known" in per_user.values(BEFORE, columns, dialect=dialect)
    assert "age" in per_user.by_age(WHO, [[SECONDS]], dialect=dialect)
    assert "users" in per_user.exposed_by_day(WHO, dialect=dialect)
    assert "users" in per_user.first_exposures(WHO, ["device"], dialect=dialect)
    assert "last_at" in day_counts.counted([KEY], WHO.as_of, dialect=dialect)


def test_a_file_that_is_damaged_is_named_with_the_next_step(small: Store, tmp_path: Path) -> None:
    archive = exported(small, tmp_path / "archive")
    path = next(path for path in archive.folder.glob("user_days/*/*"))
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with reading(small, archive) as reads, pytest.raises(StoreError, match=rf"{path.name} .*abp archive --verify"):
        reads.cells(WHO, [[SECONDS]])


def test_a_file_is_checked_again_when_it_was_written_since(small: Store, tmp_path: Path) -> None:
    archive = exported(small, tmp_path / "archive")
    with reading(small, archive) as reads:
        reads.watermark(KEY)
        path = next(path for path in archive.folder.glob("user_days/*/*"))
        stamp = path.stat()
        path.write_bytes(path.read_bytes()[:-8] + bytes(8))
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert reads.day_counts(KEY, date(2026, 2, 1)) == ()  # it is believed to be what it was
        os.utime(path)
        with pytest.raises(StoreError, match="has the checksum"):
            reads.watermark(KEY)


def test_days_after_the_last_one_are_not_looked_at(small: Store, tmp_path: Path) -> None:
    archive = exported(small, tmp_path / "archive")
    for path in archive.folder.glob(f"user_days/day={START.date() + timedelta(days=1)}/*"):
        path.unlink()
    with reading(small, archive) as reads:
        assert reads.watermark(KEY, START.date()) == START
        with pytest.raises(StoreError, match="is missing"):
            reads.watermark(KEY)


def test_users_one_by_one_come_from_the_database(small: Store, tmp_path: Path) -> None:
    archive = exported(small, tmp_path / "archive")
    with reading(small, archive) as reads:
        [found] = reads.exposed_users(WHO, ["home_card"])
        assert sorted(found.users) == ["u", "v", "w"]
        with writing(small.engine) as connection:
            connection.execute(delete(user_days))
        with pytest.raises(StoreError, match="are in the archive alone"):
            next(reads.exposed_users(WHO, ["home_card"]))


def test_an_engine_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="it must be `database`, `duckdb`, `spark-local`"):
        open_engine("quack://here", beside=tmp_path)


@pytest.mark.skipif(not SPARK.exists(), reason="Spark has an environment of its own, which is not there: make spark")
def test_spark_gives_the_same_digits(tmp_path: Path) -> None:
    run = [str(SPARK), "-m", "tests.storage.warehouse.spark_alike", "spark-local", str(tmp_path)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "the same" in done.stdout
