"""MovieLens in its two layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ab_platform.errors import DataError
from ab_platform.lineage import Title
from tests.datasets.layouts import ML_1M, ML_20M, ML_LATEST, opened, read_all, unpacked, zipped

RATINGS_1M = [("1", "1193", 5.0, 978300760), ("1", "661", 3.0, 978302109), ("2", "1193", 4.0, 978298413)]
RATINGS_LATEST = [("1", "31", 2.5, 1260759144), ("1", "11", 3.0, 1260759179), ("15", "31", 4.5, 997938310)]


def test_1m_is_read_with_titles_years_and_genres(tmp_path: Path) -> None:
    content = read_all(unpacked(tmp_path, ML_1M))
    assert content.rows == RATINGS_1M
    assert content.titles == {
        "661": Title("661", "James and the Giant Peach", ("Animation", "Children's", "Musical"), 1996),
        "1193": Title("1193", "One Flew Over the Cuckoo's Nest", ("Drama",), 1975),
        "73": Title("73", "Misérables, Les", ("Drama", "Musical"), 1995),
    }


def test_later_ones_are_read_with_quoted_titles_and_missing_genres(tmp_path: Path) -> None:
    content = read_all(unpacked(tmp_path, ML_LATEST))
    assert content.rows == RATINGS_LATEST
    assert content.titles == {
        "11": Title("11", "American President, The", ("Comedy", "Drama", "Romance"), 1995),
        "31": Title("31", "Cité des enfants perdus", ("Adventure", "Sci-Fi"), 1995),
        "108548": Title("108548", "Big Bang Theory, The", ("Comedy",), 2007),
        "164979": Title("164979", "Women of '69, Unboxed", (), None),
    }


def test_20m_is_read_from_its_archive_as_published(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "ml-20m.zip", ML_20M, top="ml-20m")
    assert opened("ml-20m", data_home=tmp_path).place == str(archive)
    content = read_all(archive)
    assert content.rows == [
        ("1", "2", 3.5, 1112486027),
        ("1", "29", 3.5, 1112484676),
        ("138493", "70286", 5.0, 1258126944),
        ("138493", "29", 0.5, 1260209449),
    ]
    lost = "City of Lost Children, The (Cité des enfants perdus, La)"
    assert content.titles["29"] == Title("29", lost, ("Adventure", "Drama", "Fantasy", "Sci-Fi"), 1995)
    assert content.titles["131262"] == Title("131262", "Innocence", (), 2014)


@pytest.mark.parametrize("files", [ML_1M, ML_20M, ML_LATEST], ids=["1m", "20m", "latest"])
def test_a_zip_and_a_folder_hold_the_same_whatever_the_top_folder_is_called(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    folder = read_all(unpacked(tmp_path / "mine", files))
    nested = read_all(unpacked(tmp_path / "outer" / "inner", files).parent)
    packed = read_all(zipped(tmp_path / "mine.zip", files, top="something else"))
    assert folder == nested == packed


@pytest.mark.parametrize("kept_as", ["ml-1m.zip", "ml-1m"])
def test_a_name_is_found_in_the_data_folder_zipped_or_unpacked(tmp_path: Path, kept_as: str) -> None:
    if kept_as.endswith(".zip"):
        zipped(tmp_path / kept_as, ML_1M, top="ml-1m")
    else:
        unpacked(tmp_path / kept_as, ML_1M)
    source = opened("ml-1m", data_home=tmp_path)
    assert (source.name, source.place) == ("ml-1m", str(tmp_path / kept_as))


def test_a_data_set_is_called_after_its_zip_or_folder(tmp_path: Path) -> None:
    assert opened(zipped(tmp_path / "ml-10m.v2.zip", ML_1M, top="x")).name == "ml-10m.v2"
    assert opened(unpacked(tmp_path / "ml.small", ML_LATEST)).name == "ml.small"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            b"2::661::five::978300761",
            r"ratings\.dat:4: rating is 'five'; it must be a number; mend the line, or count ",
        ),
        (b"2::661::nan::978300761", r"ratings\.dat:4: rating is 'nan'; it must be a number"),
        (b"2::661::5::-5", r"ratings\.dat:4: timestamp is '-5'; it must be unix seconds"),
        (b"2::661::5::99999999999999", r"ratings\.dat:4: timestamp is '99999999999999'; it must be unix seconds"),
        (
            b"2::661::5",
            r"ratings\.dat:4: the number of fields is 3; it must be 4 \(userId::movieId::rating::",
        ),
        (b"2::661::5::1::1", r"ratings\.dat:4: the number of fields is 5; it must be 4"),
        (b"::661::5::978300761", r"ratings\.dat:4: userId is ''; it must be a text that is not empty"),
        (b"2::::5::978300761", r"ratings\.dat:4: movieId is ''; it must be a text that is not empty"),
        (b"\xff::661::5::978300761", r"ratings\.dat:4: userId is b'\\xff'; it must be text in UTF-8"),
    ],
)
def test_a_bad_rating_is_refused_with_file_and_line_or_counted(tmp_path: Path, line: bytes, problem: str) -> None:
    ratings = ML_1M["ratings.dat"] + line + b"\n" + b"2::661::2::978300762\n"
    folder = unpacked(tmp_path, ML_1M | {"ratings.dat": ratings})
    with pytest.raises(DataError, match=problem):
        read_all(folder)
    content = read_all(folder, skip_bad=True)
    assert content.rows == [*RATINGS_1M, ("2", "661", 2.0, 978300762)]
    assert content.bad_rows == 1


def test_a_bad_movie_is_refused_with_file_and_line_or_counted(tmp_path: Path) -> None:
    folder = unpacked(tmp_path, ML_LATEST | {"movies.csv": ML_LATEST["movies.csv"] + b"7,Sabrina (1995)\r\n"})
    with pytest.raises(
        DataError, match=r"movies\.csv:6: the row is \['7', 'Sabrina \(1995\)'\]; it must have a movie id"
    ):
        read_all(folder)
    assert read_all(folder, skip_bad=True).bad_rows == 1


def test_blank_lines_and_a_missing_last_line_end_are_no_bad_rows(tmp_path: Path) -> None:
    ratings = ML_1M["ratings.dat"].replace(b"\n", b"\n\n").rstrip(b"\n")
    assert read_all(unpacked(tmp_path, ML_1M | {"ratings.dat": ratings})).rows == RATINGS_1M


def test_ratings_without_movies_are_refused(tmp_path: Path) -> None:
    folder = unpacked(tmp_path, {"ratings.dat": ML_1M["ratings.dat"]})
    with pytest.raises(DataError, match=r"holds ratings\.dat and no movies\.dat; put both files in one folder"):
        opened(folder)


def test_a_folder_of_several_data_sets_is_refused(tmp_path: Path) -> None:
    unpacked(tmp_path / "a", ML_1M)
    unpacked(tmp_path / "b", ML_LATEST)
    with pytest.raises(DataError, match=r"holds several data sets .* give the folder or file of one of them"):
        opened(tmp_path)
