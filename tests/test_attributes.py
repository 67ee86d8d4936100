"""Users' attributes from a file: what is read, how values are written, and what is refused, with its line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from typer.testing import CliRunner

from ab_platform.cli.main import app
from ab_platform.datasets.source import IngestProgress
from ab_platform.datasets.user_attributes import Attribute, Loaded, canonical_number, load_attributes
from ab_platform.errors import DataError, NotFoundError
from ab_platform.storage import schema
from ab_platform.storage.connection import reading
from ab_platform.storage.store import Store

AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def store(store: Store) -> Store:
    """A store with a data set of three users."""
    with store.ingesting("shop", "hash", "made", AT) as writer:
        writer.write_interactions(["u1", "u2", "u3"], ["t1"] * 3, None, None)
        writer.finish(0)
    return store


def csv_file(folder: Path, text: str, name: str = "users.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def stored(store: Store, dataset: str = "shop") -> Mapping[str, Mapping[str, str]]:
    """Return the attributes as {name: {user: value}}."""
    columns = schema.user_attributes.c
    query = select(columns.name, columns.user_id, columns.value).where(columns.dataset == dataset)
    found: dict[str, dict[str, str]] = {}
    with reading(store.engine) as connection:
        for name, user, value in connection.execute(query):
            found.setdefault(name, {})[user] = value
    return found


def load(store: Store, path: Path, **options: str) -> Loaded:
    return load_attributes(store, path, dataset="shop", **options)  # type: ignore[arg-type]


def test_every_column_beside_the_users_is_an_attribute(store: Store, tmp_path: Path) -> None:
    path = csv_file(tmp_path, 'device,user_id,country\ntv,u1,fr\n"a ""big""\nphone",u2,de\n tv ,u3,fr\n')
    assert load(store, path) == Loaded(
        "shop", 3, (Attribute("device", 3, 2, False, 0), Attribute("country", 3, 2, False, 0))
    )
    assert stored(store) == {
        "device": {"u1": "tv", "u2": 'a "big"\nphone', "u3": "tv"},
        "country": {"u1": "fr", "u2": "de", "u3": "fr"},
    }


def test_csv_and_parquet_of_the_same_table_give_the_same_attributes(
    store: Store, other_store: Store, tmp_path: Path
) -> None:
    with other_store.ingesting("shop", "hash", "made", AT) as writer:
        writer.finish(0)
    columns = {
        "user": pa.array([1, 2, 3]),
        "age": pa.array([30.0, None, 41.0]),
        "score": pa.array([0.5, 2.0, float("nan")]),
        "device": pa.array(["tv", "web", None]).dictionary_encode(),
        "member": pa.array([True, False, True]),
        "since": pa.array([date(2020, 1, 2), date(2021, 5, 6), None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "users.parquet")
    load(store, tmp_path / "users.parquet", user="user")
    lines = ["1,30,0.5,tv,true,2020-01-02", "2,,2.0,web,false,2021-05-06", "3,41,NaN,,true,"]
    text = "\n".join(["user,age,score,device,member,since", *lines])
    load(other_store, csv_file(tmp_path, text), user="user")
    assert stored(store) == stored(other_store)
    assert stored(store)["age"] == {"1": "30", "3": "41"}
    assert stored(store)["score"] == {"1": "0.5", "2": "2"}


def test_only_the_columns_asked_for_are_taken(store: Store, tmp_path: Path) -> None:
    path = csv_file(tmp_path, "user_id,device,cohort,country\nu1,tv,x,fr\n")
    load_attributes(store, path, dataset="shop", only=["country", "device"])
    assert set(stored(store)) == {"device", "country"}


def test_a_second_run_changes_nothing_and_another_file_replaces_what_it_tells(store: Store, tmp_path: Path) -> None:
    path = csv_file(tmp_path, "user_id,device\nu1,tv\nu2,web\n")
    first, once = load(store, path), stored(store)
    assert load(store, path) == first
    assert stored(store) == once
    load(store, csv_file(tmp_path, "user_id,device\nu2,phone\nu3,\n"))
    assert stored(store) == {"device": {"u1": "tv", "u2": "phone"}}


def test_what_is_empty_or_nan_is_left_out_and_counted(store: Store, tmp_path: Path) -> None:
    path = csv_file(tmp_path, "user_id,device,age\nu1,,nan\nu2, ,NaN\nu3,NA,7\n")
    assert load(store, path).attributes == (Attribute("device", 1, 1, False, 2), Attribute("age", 1, 1, True, 2))
    assert stored(store) == {"device": {"u3": "NA"}, "age": {"u3": "7"}}


def test_a_column_of_codes_with_leading_zeros_is_text(store: Store, tmp_path: Path) -> None:
    load(store, csv_file(tmp_path, "user_id,postal_code\nu1,02134\nu2,90210\n"))
    assert stored(store) == {"postal_code": {"u1": "02134", "u2": "90210"}}


def test_one_word_among_numbers_makes_the_column_text(store: Store, tmp_path: Path) -> None:
    [told] = load(store, csv_file(tmp_path, "user_id,size\nu1,3.0\nu2,large\n")).attributes
    assert (told.numeric, stored(store)["size"]["u1"]) == (False, "3.0")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("3", "3"),
        ("3.0", "3"),
        ("3.", "3"),
        ("+3", "3"),
        ("3e0", "3"),
        ("-0.0", "0"),
        ("1e3", "1000"),
        ("3.50", "3.5"),
        (".5", "0.5"),
        ("12345678901234567890", "12345678901234567890"),
        ("1e300", "1e+300"),
    ],
)
def test_a_number_is_written_in_its_shortest_form(text: str, written: str) -> None:
    assert canonical_number(text) == written


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_its_value_and_its_form_is_stable(number: float) -> None:
    written = canonical_number(repr(number))
    assert float(written) == number
    assert canonical_number(written) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_id,device\nu1,tv\n\nu2,web\nu1,tv\n", r"users.csv:5: user 'u1' .* a second time, first at users.csv:2"),
        ('user_id,device\n"u1","a\nb"\nu2,web\nu2,tv\n', r"users.csv:5: user 'u2' .* first at users.csv:4"),
        ("user_id,device\nu1,tv\n,web\n", r"users.csv:3: user_id is ''; it must be a text that is not empty"),
        ("user_id,device\nu1,tv\nu2,web,fr\n", r"users.csv:3: the number of fields is 3; it must be 2 \(user_id,"),
        ("user,device\nu1,tv\n", r"no column 'user_id' \(did you mean 'user'\?\); name the user's column with --user"),
        ("user_id\nu1\n", r"no column beside 'user_id'"),
        ("user_id,a,a\nu1,1,2\n", r"the column 'a' twice"),
        ("user_id,cohort\nu1,1\n", r"'cohort' cannot be an attribute: the name is the day of the exposure; rename"),
        ("user_id,interactions\nu1,1\n", r"'interactions' cannot be an attribute"),
        ("", r"users.csv:1: the line is empty"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_taken_is_refused_with_the_place(
    store: Store, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(store, csv_file(tmp_path, text))
    assert stored(store) == {}


def test_text_that_is_no_utf_8_is_refused_with_its_line(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_bytes(b"user_id,city\nu1,Paris\nu2,K\xf6ln\n")
    with pytest.raises(DataError, match=r"users.csv:3: the row is no UTF-8"):
        load(store, path)


def test_a_parquet_file_is_refused_for_users_twice_and_for_types_that_are_no_value(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "users.parquet"
    pq.write_table(pa.table({"user_id": ["a", "b", "a"], "device": ["x"] * 3}), path)
    with pytest.raises(DataError, match=r"users.parquet, row 3: user 'a' .* first at users.parquet, row 1"):
        load(store, path)
    pq.write_table(pa.table({"user_id": ["a", None], "device": ["x"] * 2}), path)
    with pytest.raises(DataError, match=r"row 2: user_id is ''"):
        load(store, path)
    pq.write_table(pa.table({"user_id": [1.0, 2.0], "device": ["x"] * 2}), path)
    with pytest.raises(DataError, match=r"'user_id' holds double; it must hold text or whole numbers"):
        load(store, path)
    pq.write_table(pa.table({"user_id": ["a"], "tags": [["x", "y"]]}), path)
    with pytest.raises(DataError, match=r"'tags' holds list"):
        load(store, path)


def test_files_and_data_sets_that_are_not_there_are_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"data set 'shup' is not ingested; did you mean 'shop'\?"):
        load_attributes(store, tmp_path / "users.csv", dataset="shup")
    with pytest.raises(DataError, match=r"users.csv' is not a file"):
        load(store, tmp_path / "users.csv")
    with pytest.raises(DataError, match=r"ends in '.xlsx'"):
        load(store, csv_file(tmp_path, "x", "users.xlsx"))
    with pytest.raises(DataError, match=r"no column 'devise' \(did you mean 'device'\?\)"):
        load_attributes(store, csv_file(tmp_path, "user_id,device\nu1,tv\n"), dataset="shop", only=["devise"])


def test_a_file_of_many_blocks_is_read_whole_and_its_progress_ends_at_the_end(store: Store, tmp_path: Path) -> None:
    count = 300_000
    lines = (f"user-{number:06d},{DEVICES[number % 3]}" for number in range(count))
    path = csv_file(tmp_path, "\n".join(["user_id,device", *lines, "user-000007,tv"]))
    assert path.stat().st_size > 4 << 20
    with pytest.raises(DataError, match=rf"users.csv:{count + 2}: user 'user-000007' .* first at users.csv:9"):
        load(store, path)
    path.write_text(path.read_text().rsplit("\n", 1)[0])
    told: list[IngestProgress] = []
    found = load_attributes(store, path, dataset="shop", progress=told.append)
    assert found.attributes == (Attribute("device", count, 3, False, 0),)
    assert store.attributes("shop") == {"device": 3}
    ends = {each.stage: (each.done, each.total) for each in told}
    assert ends == {
        "reading": (path.stat().st_size, path.stat().st_size),
        "writing device": (count, count),
    }


DEVICES = ("phone", "tv", "web")


def test_the_verb_prints_what_came_in_and_that_the_arm_must_not_matter(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABP_DATABASE_URL", str(store.engine.url))
    path = csv_file(tmp_path, "id,device,age,city\nu1,tv,30,x\nu2,web,,y\n")
    words = ["attributes", str(path), "--dataset", "shop", "--user", "id", "--only", "device, age"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()[2:]] == [
        ["device", "2", "2", "0"],
        ["age", "1", "1", "1"],
    ]
    assert "must not depend on the arm" in done.output
    as_json = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert as_json["attributes"][1] == {"name": "age", "users": 1, "values": 1, "numeric": True, "without": 1}
