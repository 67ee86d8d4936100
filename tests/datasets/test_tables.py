"""Any CSV or Parquet with named columns."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.datasets import files
from ab_platform.datasets.csv_file import open_csv
from ab_platform.datasets.naming import ColumnNames
from ab_platform.datasets.source import BadRows
from ab_platform.errors import DataError
from ab_platform.lineage import Title
from tests.datasets.layouts import USUAL, opened, read_all


def csv_file(folder: Path, text: str, name: str = "likes.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def parquet_file(folder: Path, **columns: Any) -> Path:
    path = folder / "likes.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


@pytest.mark.parametrize(
    "header",
    [
        "user_id,title_id,rating,timestamp",
        "userId,movieId,Rating,ts",
        "user,item,rating,time",
        "USER_ID,song,rating,at",
    ],
)
def test_the_usual_names_are_found(tmp_path: Path, header: str) -> None:
    content = read_all(csv_file(tmp_path, f"{header}\nu1,t1,4.5,978300760\n"))
    assert content.rows == [("u1", "t1", 4.5, 978300760)]


def test_columns_may_come_in_any_order_beside_others(tmp_path: Path) -> None:
    text = 'note,item_id,user_id\n"a ""long"" note,\nover two lines",t1,u1\nplain,007,u2\n'
    assert read_all(csv_file(tmp_path, text)).rows == [("u1", "t1", None, None), ("u2", "007", None, None)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    text = "user,item,time\nu1,t1,2005-09-06\n".replace(",", separator)
    assert read_all(csv_file(tmp_path, text)).rows == [("u1", "t1", None, 1125964800)]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert read_all(csv_file(tmp_path, "\ufeffuser,item\nu1,t1\n")).rows == [("u1", "t1", None, None)]


def test_named_columns_win_over_usual_names(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "user,item,member,film,seen\nx,x,u1,t1,978300760\n")
    content = read_all(path, ColumnNames(user="member", title="film", at="seen"))
    assert content.rows == [("u1", "t1", None, 978300760)]


def test_titles_and_genres_come_along(tmp_path: Path) -> None:
    text = 'user_id,item_id,title,genres\nu1,t1,"Lantern, The",Drama|Crime\nu2,t1,"Lantern, The",Drama|Crime\nu1,t2,,\n'
    content = read_all(csv_file(tmp_path, text))
    assert content.titles == {"t1": Title("t1", "Lantern, The", ("Drama", "Crime")), "t2": Title("t2", "t2")}
    assert len(content.rows) == 3


def test_titles_come_along_past_a_bad_row(tmp_path: Path) -> None:
    content = read_all(csv_file(tmp_path, "user,item,title\nu1,t1,One\nu1\nu2,t2,Two\n"), skip_bad=True)
    assert [title.title for title in content.titles.values()] == ["One", "Two"]
    assert content.bad_rows == 1


def test_names_in_another_encoding_come_along(tmp_path: Path) -> None:
    (tmp_path / "likes.csv").write_bytes("user,item,title\nu1,t1,Misérables\n".encode("iso-8859-1"))
    assert read_all(tmp_path / "likes.csv").titles == {"t1": Title("t1", "Misérables")}


@pytest.mark.parametrize(
    ("text", "wanted", "problem"),
    [
        (
            "who,item\n",
            USUAL,
            r"likes\.csv has the columns who, item; none is called user_id or user, so .*--user",
        ),
        ("user,what\n", USUAL, r"none is called title_id or .*, so name the title's column with --title"),
        (
            "user,item\n",
            ColumnNames(user="usr"),
            r"columns user, item; 'usr' is none of them, did you mean 'user'\?",
        ),
        ("", USUAL, r"likes\.csv:1: the line is empty; it must name the columns"),
        (
            "user,item,rating\nu,t,4\nu,t2,x\n",
            USUAL,
            r"likes\.csv:3: rating is 'x'; it must be a number; mend",
        ),
        ('user,item,note\nu,t,"a\nb"\nu,,c\n', USUAL, r"likes\.csv:4: item is ''; it must be a text that is not empty"),
        ("user,item\nu,t\nu\n", USUAL, r"likes\.csv:3: the number of fields is 1; it must be 2 \(user,item\)"),
        (
            "user,item,at\nu,t,soon\n",
            USUAL,
            r"likes\.csv:2: at is 'soon'; it must be unix seconds or milliseconds",
        ),
    ],
)
def test_what_cannot_be_read_is_said_with_the_next_step(
    tmp_path: Path, text: str, wanted: ColumnNames, problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        read_all(csv_file(tmp_path, text), wanted)


def test_other_columns_of_the_same_file_are_other_content(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "user,item,show\nu1,t1,s1\n")
    assert read_all(path).content_hash != read_all(path, ColumnNames(title="show")).content_hash


VALUES = st.sampled_from(["u1", "Zoë", 'say "hi"', "a,b", "two\nlines", "", "5"])


@given(
    rows=st.lists(
        st.tuples(VALUES, VALUES),
        min_size=1,
        max_size=8,
    ),
    cut=st.integers(1, 40),
)
def test_blocks_and_bad_rows_do_not_change_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], cut: int
) -> None:
    quoted = [",".join('"' + value.replace('"', '""') + '"' for value in row) for row in rows]
    path = csv_file(tmp_path_factory.mktemp("csv"), "user,item\n" + "\n".join(quoted))
    good = [(user, item, None, None) for user, item in rows if user and item]
    whole = read_all(path, skip_bad=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_BYTES", cut)
        cut_up = read_all(path, skip_bad=True)
    assert whole.rows == cut_up.rows == good
    assert whole.bad_rows == cut_up.bad_rows == len(rows) - len(good)


def test_parquet_is_read_whatever_the_types_of_its_columns(tmp_path: Path) -> None:
    path = parquet_file(
        tmp_path,
        user_id=pa.array([1, 2, 3]),
        title_id=pa.array(["t1", "t1", "t2"]).dictionary_encode(),
        rating=pa.array([4.0, 3.5, 5.0], pa.float32()),
        timestamp=pa.array([datetime(2005, 9, 6, 12, tzinfo=UTC)] * 3, pa.timestamp("ns", tz="UTC")),
        title=pa.array(["One", "One", "Two"]),
    )
    content = read_all(path)
    assert content.rows == [("1", "t1", 4.0, 1126008000), ("2", "t1", 3.5, 1126008000), ("3", "t2", 5.0, 1126008000)]
    assert content.titles == {"t1": Title("t1", "One"), "t2": Title("t2", "Two")}


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"user": ["a", None, "c"]}, r"likes\.parquet, row 2: user is ''; it must be a text that is not empty"),
        ({"rating": [1.0, 2.0, float("nan")]}, r"likes\.parquet, row 3: rating is 'nan'; it must be a number"),
        ({"rating": [1.0, None, 2.0]}, r"likes\.parquet, row 2: rating is ''; it must be a number"),
        (
            {"at": [date(1969, 12, 31), date(2005, 9, 6), None]},
            r"likes\.parquet, row 1: at is '1969-12-31T00:00:00'",
        ),
    ],
)
def test_a_bad_row_of_parquet_is_refused_with_its_number_or_counted(
    tmp_path: Path, columns: dict[str, Any], problem: str
) -> None:
    path = parquet_file(tmp_path, **({"user": ["a", "b", "c"], "item": ["x", "y", "z"]} | columns))
    with pytest.raises(DataError, match=problem):
        read_all(path)
    content = read_all(path, skip_bad=True)
    assert content.bad_rows == (2 if "at" in columns else 1)
    assert len(content.rows) + content.bad_rows == 3


def test_a_column_of_a_wrong_type_is_refused(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, user=pa.array([1.0, 2.0]), item=pa.array(["a", "b"]))
    with pytest.raises(DataError, match=r"likes\.parquet: column 'user' holds double; it must hold text or"):
        opened(path)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "likes.parquet").write_bytes(b"user,item\n")
    with pytest.raises(DataError, match=r"likes\.parquet cannot be read as Parquet .* give a CSV instead"):
        opened(tmp_path / "likes.parquet")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "likes.xlsx").write_bytes(b"")
    with pytest.raises(DataError, match=r"likes\.xlsx ends in '\.xlsx'; it must be a \.csv, \.tsv, \.parquet or \.zip"):
        opened(tmp_path / "likes.xlsx")


def test_memory_is_bounded_by_a_block_whatever_the_length_of_the_file(tmp_path: Path) -> None:
    rows = 1_000_000
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write("user,item,timestamp\n")
        file.writelines(f"{row % 5_000},{row % 997},{10**9 + row}\n" for row in range(rows))
    source, bad = open_csv(path, USUAL), BadRows(skip=False)
    tracemalloc.start()
    try:
        lengths = [len(batch.user_ids) for batch in source.batches(bad)]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(lengths) == rows
    assert max(lengths) < rows / 4
    assert most < 64 << 20
