"""Gowalla as the NGCF and LightGCN papers split it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ab_platform.datasets import files
from ab_platform.errors import DataError
from tests.datasets.layouts import GOWALLA, ML_1M, opened, read_all, unpacked, zipped

ROWS = [
    *(("0", "0", None, None), ("0", "1", None, None), ("0", "2", None, None)),
    *(("1", "3", None, None), ("1", "0", None, None), ("2", "4", None, None)),
    *(("0", "5", None, None), ("1", "1", None, None), ("1", "4", None, None)),
]


def test_both_files_are_unrated_interactions_without_times_or_titles(tmp_path: Path) -> None:
    content = read_all(unpacked(tmp_path, GOWALLA))
    assert content.rows == ROWS
    assert content.titles == {}


@pytest.mark.parametrize("block_bytes", [1, 9, 1000])
def test_blocks_and_line_ends_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr(files, "BLOCK_BYTES", block_bytes)
    crlf = {name: data.replace(b"\n", b"\r\n").rstrip(b"\r\n") for name, data in GOWALLA.items()}
    assert read_all(unpacked(tmp_path / "lf", GOWALLA)).rows == ROWS
    assert read_all(unpacked(tmp_path / "crlf", crlf)).rows == ROWS


def test_a_zip_and_a_folder_hold_the_same(tmp_path: Path) -> None:
    folder = read_all(unpacked(tmp_path / "folder", GOWALLA))
    assert folder == read_all(zipped(tmp_path / "g.zip", GOWALLA, top="gowalla"))


def test_it_is_found_by_its_name_and_has_no_download(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gowalla is not in .* put its files there: train\.txt and test\.txt"):
        opened("gowalla", data_home=tmp_path)
    unpacked(tmp_path / "gowalla", GOWALLA)
    assert opened("gowalla", data_home=tmp_path).name == "gowalla"


@pytest.mark.parametrize("line", [b"2 4 x", b"2,4", b"2 4.5", b" 2 4", b"\xff 4"])
def test_a_bad_line_is_refused_with_file_and_line_or_counted(tmp_path: Path, line: bytes) -> None:
    folder = unpacked(tmp_path, GOWALLA | {"test.txt": GOWALLA["test.txt"] + line + b"\n"})
    with pytest.raises(DataError, match=r"test\.txt:4: the row is '.*'; it must be numbers: a user, then items"):
        read_all(folder)
    content = read_all(folder, skip_bad=True)
    assert (content.rows, content.bad_rows) == (ROWS, 1)


def test_a_long_bad_line_is_shortened(tmp_path: Path) -> None:
    folder = unpacked(tmp_path, GOWALLA | {"test.txt": b"0 " + b"1 " * 500 + b"x\n"})
    with pytest.raises(DataError, match=r"the row is '0 (1 ){19}…'; it must"):
        read_all(folder)


def test_one_file_without_the_other_is_refused(tmp_path: Path) -> None:
    folder = unpacked(tmp_path, {"train.txt": GOWALLA["train.txt"]})
    with pytest.raises(DataError, match=r"holds train\.txt and no test\.txt; put both files in one folder"):
        opened(folder)


def test_a_train_file_of_something_else_is_not_taken_for_it(tmp_path: Path) -> None:
    other = {"train.txt": b"1,2,3\n", "test.txt": b"1,2,3\n"}
    with pytest.raises(DataError, match=r"must be in the layout of .* or Gowalla \(train\.txt and test\.txt\)"):
        opened(unpacked(tmp_path / "other", other))
    assert read_all(unpacked(tmp_path / "both", ML_1M | other)).rows == read_all(unpacked(tmp_path / "ml", ML_1M)).rows
