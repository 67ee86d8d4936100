"""The Netflix Prize in its two forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from ab_platform.datasets import files
from ab_platform.errors import DataError
from ab_platform.lineage import Title
from tests.datasets.layouts import (
    NETFLIX_BESIDE,
    NETFLIX_COMBINED,
    NETFLIX_TITLES,
    NETFLIX_TRAINING_SET,
    opened,
    read_all,
    unpacked,
    zipped,
)

ROWS = [
    ("1488844", "1", 3.0, 1125964800),
    ("822109", "1", 5.0, 1115942400),
    ("822109", "2", 4.0, 1116028800),
    ("1488844", "3", 1.0, 946598400),
]


@pytest.mark.parametrize("form", [NETFLIX_TRAINING_SET, NETFLIX_COMBINED], ids=["training_set", "combined"])
def test_both_forms_give_the_same_rows_and_titles(tmp_path: Path, form: dict[str, bytes]) -> None:
    content = read_all(unpacked(tmp_path, form))
    assert content.rows == ROWS
    assert content.titles == {
        "1": Title("1", "Dinosaur Planet", (), 2003),
        "2": Title("2", "Isle of Man TT 2004 Review", (), 2004),
        "3": Title("3", "Café, Bar, Hôtel", (), None),
    }


@pytest.mark.parametrize("form", [NETFLIX_TRAINING_SET, NETFLIX_COMBINED], ids=["training_set", "combined"])
def test_what_lies_beside_the_ratings_is_not_read_as_ratings(tmp_path: Path, form: dict[str, bytes]) -> None:
    unpacked(tmp_path / "netflix" / "download", form | NETFLIX_BESIDE)
    assert opened("netflix", data_home=tmp_path).place == str(tmp_path / "netflix")
    assert read_all(tmp_path / "netflix").rows == ROWS


def test_titles_may_be_called_csv(tmp_path: Path) -> None:
    ratings = {name: data for name, data in NETFLIX_COMBINED.items() if name not in NETFLIX_TITLES}
    files = ratings | {"movie_titles.csv": NETFLIX_TITLES["movie_titles.txt"]}
    assert read_all(unpacked(tmp_path / "a", files)) == read_all(unpacked(tmp_path / "b", NETFLIX_COMBINED))


def test_where_both_forms_are_there_one_is_read(tmp_path: Path) -> None:
    assert read_all(unpacked(tmp_path, NETFLIX_TRAINING_SET | NETFLIX_COMBINED)).rows == ROWS


def test_a_zip_and_a_folder_hold_the_same(tmp_path: Path) -> None:
    folder = read_all(unpacked(tmp_path / "folder", NETFLIX_COMBINED))
    assert folder == read_all(zipped(tmp_path / "nf.zip", NETFLIX_COMBINED, top="nf"))


@pytest.mark.parametrize("block_bytes", [1, 7, 30, 1000])
def test_a_heading_holds_beyond_the_end_of_its_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(files, "BLOCK_BYTES", block_bytes)
    crlf = {name: data.replace(b"\n", b"\r\n") for name, data in NETFLIX_COMBINED.items()}
    assert read_all(unpacked(tmp_path / "lf", NETFLIX_COMBINED)).rows == ROWS
    assert read_all(unpacked(tmp_path / "crlf", crlf)).rows == ROWS


@pytest.mark.parametrize(
    ("data", "problem", "kept"),
    [
        (b"1:\n5,3,2005-09-06\n6,x,2005-09-06\n", r":3: rating is 'x'; it must be a number; mend the line", ["1"]),
        (b"1:\n5,3,2005-09-06\n6,2,06.09.2005\n", r":3: date is '06.09.2005'; it must be unix seconds", ["1"]),
        (b"1:\n5,3,2005-09-06\n6,2\n", r":3: the row is '6,2'; it must be 'movie:' or 'user,rating,date'", ["1"]),
        (b"5,3,2005-09-06\n1:\n6,2,2005-09-06\n", r":1: the rating stands under no movie; .* such as '1:'", ["1"]),
        (
            b"1:\n5,3,2005-09-06\n\n6,2,2005-09-06\n7,,2005-09-06\n",
            r":5: rating is ''; it must be a number",
            ["1", "1"],
        ),
    ],
)
def test_a_bad_line_is_refused_with_file_and_line_or_counted(
    tmp_path: Path, data: bytes, problem: str, kept: list[str]
) -> None:
    folder = unpacked(tmp_path, NETFLIX_COMBINED | {"combined_data_1.txt": data, "combined_data_2.txt": b"9:\n"})
    with pytest.raises(DataError, match=r"combined_data_1\.txt" + problem):
        read_all(folder)
    content = read_all(folder, skip_bad=True)
    assert ([title for _, title, _, _ in content.rows], content.bad_rows) == (kept, 1)


def test_ratings_under_a_heading_that_cannot_be_read_count_for_no_movie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"1:\n5,3,2005-09-06\nx2:\n5,4,2005-09-06\n6,4,2005-09-06\n3:\n5,1,2005-09-06\n"
    folder = unpacked(tmp_path, NETFLIX_COMBINED | {"combined_data_1.txt": data, "combined_data_2.txt": b"9:\n"})
    with pytest.raises(DataError, match=r"combined_data_1\.txt:3: the heading is 'x2:'; it must be a movie's number"):
        read_all(folder)
    # In one block, and with the heading and its ratings in different blocks.
    for block_bytes in (1000, 1):
        monkeypatch.setattr(files, "BLOCK_BYTES", block_bytes)
        content = read_all(folder, skip_bad=True)
        assert [(user, title) for user, title, _, _ in content.rows] == [("5", "1"), ("5", "3")]
        assert content.bad_rows == 3


def test_a_bad_title_is_refused_with_file_and_line(tmp_path: Path) -> None:
    folder = unpacked(tmp_path, NETFLIX_COMBINED | {"movie_titles.txt": b"1,2003,Dinosaur Planet\n2,soon,Film\n"})
    with pytest.raises(
        DataError, match=r"movie_titles\.txt:2: the row is '2,soon,Film'; it must have an id, a year or NULL"
    ):
        read_all(folder)


def test_ratings_without_titles_are_refused(tmp_path: Path) -> None:
    folder = unpacked(tmp_path, {"combined_data_1.txt": b"1:\n"})
    with pytest.raises(DataError, match=r"holds combined_data_1\.txt and no movie_titles\.txt; put it there"):
        opened(folder)


def test_a_name_that_has_no_download_says_which_files_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"netflix is not in ABP_DATA_HOME: .* put its files there: training_set/mv_"):
        opened("netflix", data_home=tmp_path)
