from __future__ import annotations

import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from ab_platform.errors import StoreError
from ab_platform.lineage import Dataset, Title
from ab_platform.storage import datasets, schema
from ab_platform.storage.connection import reading
from ab_platform.storage.store import InteractionColumns, Store
from tests.storage.made import START

Row = tuple[str, str, float | None, int | None]

ROWS: list[Row] = [("u2", "t1", 5.0, 100), ("u1", "t2", 3.0, 200), ("u1", "t1", None, None), ("ü", "t3", 4.0, 0)]


def ingest(store: Store, rows: Sequence[Row], *, name: str = "small", titles: Sequence[Title] = ()) -> Dataset:
    """Write rows one by one, since a column of ratings has a rating in every row or is none."""
    with store.ingesting(name, "hash-1", "small.csv", START) as writer:
        writer.write_titles(titles)
        for user, title, rating, at in rows:
            writer.write_interactions(
                [user],
                [title],
                None if rating is None else np.array([rating]),
                None if at is None else np.array([at], dtype=np.int64),
            )
        return writer.finish(bad_rows=2)


def read(columns: InteractionColumns) -> list[tuple[str, str, int]]:
    codes = zip(columns.user_codes, columns.title_codes, columns.at.tolist(), strict=True)
    return [(columns.users[user], columns.titles[title], at) for user, title, at in codes]


def test_what_was_ingested_is_counted_and_found(store: Store) -> None:
    titles = [Title("t1", "Heat", ("Crime", "Drama"), 1995), Title("t9", "Nobody saw it")]
    made = ingest(store, [*ROWS, ("u1", "t1", 1.0, 5)], titles=titles)
    assert made == Dataset("small", "hash-1", "small.csv", 4, 3, 2, 2, 1, START)
    assert store.dataset("small") == made
    assert store.datasets() == (made,)
    assert store.titles("small") == {title.title_id: title for title in titles}


def test_interactions_come_back_sorted_with_the_least_rating_applied_to_rated_ones_only(store: Store) -> None:
    ingest(store, ROWS)
    columns = store.interactions("small", least_rating=4.0)
    assert columns.users == ("u1", "u2", "ü")
    assert columns.titles == ("t1", "t3")
    assert read(columns) == [("u1", "t1", 0), ("u2", "t1", 100), ("ü", "t3", 0)]
    assert columns.user_codes.dtype == columns.title_codes.dtype == columns.at.dtype == np.int64


def test_of_two_rows_of_one_user_and_title_the_first_stays(store: Store) -> None:
    with store.ingesting("small", "hash-1", "small.csv", START) as writer:
        assert writer.write_interactions(["u", "u"], ["t", "t"], np.array([5.0, 1.0]), np.array([10, 20])) == 1
        assert writer.write_interactions(["u", "v"], ["t", "t"], np.array([1.0, 5.0]), np.array([30, 40])) == 1
        assert writer.finish(bad_rows=0).repeated_rows == 2
    assert read(store.interactions("small", least_rating=5.0)) == [("u", "t", 10), ("v", "t", 40)]


def test_a_rating_that_is_not_there_is_unrated_and_not_a_number_above_all(store: Store) -> None:
    with store.ingesting("small", "hash-1", "small.csv", START) as writer:
        writer.write_interactions(["u", "v", "w"], ["t"] * 3, np.array([np.nan, 3.0, 5.0]), None)
        writer.finish(bad_rows=0)
    assert store.interactions("small", least_rating=4.0).users == ("u", "w")
    with reading(store.engine) as connection:
        stored = connection.execute(select(schema.interactions.c.rating).order_by(schema.interactions.c.user_id))
        assert stored.scalars().all() == [None, 3.0, 5.0]


def test_a_moment_is_stored_as_the_schema_would_store_it(store: Store) -> None:
    ingest(store, [("u", "t", 5.0, 1_772_323_200)])
    with reading(store.engine) as connection:
        assert connection.execute(select(schema.interactions.c.at)).scalar_one() == START


def test_data_sets_are_apart(store: Store) -> None:
    ingest(store, ROWS)
    ingest(store, [("u9", "t9", 5.0, 1)], name="other")
    assert read(store.interactions("other", least_rating=0.0)) == [("u9", "t9", 1)]
    assert len(store.interactions("small", least_rating=0.0).at) == 4


def test_an_unknown_data_set_is_none_and_has_no_rows(store: Store) -> None:
    assert store.dataset("missing") is None
    assert store.interactions("missing", least_rating=0.0).users == ()
    assert store.titles("missing") == {}


def test_an_exception_in_the_middle_leaves_nothing(store: Store) -> None:
    rows: list[Row] = [("u", "t", None, None), ("a user without a title", None, None, None)]  # type: ignore[list-item]
    with pytest.raises(IntegrityError):
        ingest(store, rows, titles=[Title("t", "T")])
    assert everything(store) == (0, 0, 0)


def test_an_ingest_that_is_not_finished_leaves_nothing(store: Store) -> None:
    with (
        pytest.raises(StoreError, match=r"the ingest of 'small' ended without finish\(\); nothing was stored"),
        store.ingesting("small", "hash-1", "small.csv", START) as writer,
    ):
        writer.write_interactions(["u"], ["t"], None, None)
    assert everything(store) == (0, 0, 0)


def test_a_name_is_ingested_once(store: Store) -> None:
    ingest(store, ROWS)
    with pytest.raises(StoreError, match="data set 'small' is there already; ingest it under another name"):
        ingest(store, ROWS[:1])
    assert len(store.interactions("small", least_rating=0.0).at) == 4


def test_columns_of_unequal_length_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="shorter"), store.ingesting("small", "hash-1", "x", START) as writer:
        writer.write_interactions(["u", "v"], ["t"], None, None)


CHILD = """
import os, signal, sys
from datetime import UTC, datetime
from ab_platform.storage.store import open_store
at = datetime(2026, 3, 1, tzinfo=UTC)
with open_store(sys.argv[1], migrate=False).ingesting("half", "hash", "source", at) as writer:
    for batch in range(3):
        writer.write_interactions([f"u{batch}-{row}" for row in range(5000)], ["t"] * 5000, None, None)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_middle_leaves_nothing_and_the_next_ingest_works(store: Store, url: str) -> None:
    child = subprocess.run([sys.executable, "-c", CHILD, url], check=False)
    assert child.returncode == -signal.SIGKILL
    assert everything(store) == (0, 0, 0)
    assert ingest(store, ROWS, name="half").interactions == 4


def everything(store: Store) -> tuple[int, ...]:
    with reading(store.engine) as connection:
        tables = (schema.datasets, schema.titles, schema.interactions)
        return tuple(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)


def test_reading_holds_one_chunk_beside_the_result(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 20_000
    with store.ingesting("large", "hash", "source", START) as writer:
        users = [f"user-{number // 30}" for number in range(rows)]
        writer.write_interactions(users, [str(number) for number in range(rows)], None, np.arange(rows))
        writer.finish(bad_rows=0)
    peaks = []
    for chunk in (500, rows):
        monkeypatch.setattr(datasets, "ROWS_AT_ONCE", chunk)
        tracemalloc.start()
        assert len(store.interactions("large", least_rating=0.0).at) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 0.7 * peaks[1]


PAIRS = st.tuples(
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1), st.text("ab", min_size=1)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(pairs=st.lists(PAIRS, max_size=12), cut=st.integers(0, 12))
def test_any_text_comes_back_as_it_went_in_and_once(store: Store, pairs: list[tuple[str, str]], cut: int) -> None:
    name = f"set-{len(store.datasets())}"
    with store.ingesting(name, "hash", "source", START) as writer:
        for part in (pairs[:cut], pairs[cut:]):
            writer.write_interactions([user for user, _ in part], [title for _, title in part], None, None)
        made = writer.finish(bad_rows=0)
    found = [(user, title) for user, title, _ in read(store.interactions(name, least_rating=0.0))]
    assert found == sorted(set(pairs))
    assert (made.interactions, made.repeated_rows) == (len(found), len(pairs) - len(found))
    assert made.users == len({user for user, _ in pairs})
