"""The Million Song Dataset's Taste Profile."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ab_platform.errors import DataError
from ab_platform.lineage import Title
from tests.datasets.layouts import TASTE_PROFILE, opened, read_all, unpacked

ROWS = [
    ("b80344d063", "SOAKIMP12A8C130995", None, None),
    ("b80344d063", "SOBBMDR12A8C13253B", None, None),
    ("85c1f87fea", "SOAKIMP12A8C130995", None, None),
]


def test_plays_are_unrated_interactions_without_a_time(tmp_path: Path) -> None:
    content = read_all(unpacked(tmp_path, TASTE_PROFILE))
    assert content.rows == ROWS
    assert content.titles == {
        "SOAKIMP12A8C130995": Title("SOAKIMP12A8C130995", "The Cove - Jack Johnson"),
        "SONEVER12A8C13AAAA": Title("SONEVER12A8C13AAAA", "Jóga - Björk"),
    }


def test_the_zip_inside_the_folder_is_read_as_published(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train_triplets.txt.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_triplets.txt", TASTE_PROFILE["train_triplets.txt"])
    assert read_all(tmp_path).rows == ROWS
    assert read_all(tmp_path / "train_triplets.txt.zip").rows == ROWS
    assert read_all(tmp_path).titles == {}


def test_users_are_the_published_hashes_and_large_counts_are_plays_like_any(tmp_path: Path) -> None:
    user = "b80344d063b5ccb3212f76538f3d9e43d87dca9e"
    line = f"{user}\tSOZZZHR12A8C13AAAA\t9667\n".encode()
    content = read_all(unpacked(tmp_path, {"train_triplets.txt": TASTE_PROFILE["train_triplets.txt"] + line}))
    assert content.rows == [*ROWS, (user, "SOZZZHR12A8C13AAAA", None, None)]


def test_zipped_plays_and_tracks_beside_them_are_read_together(tmp_path: Path) -> None:
    home = unpacked(tmp_path / "million-song", {"unique_tracks.txt": TASTE_PROFILE["unique_tracks.txt"]})
    with zipfile.ZipFile(home / "train_triplets.txt.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_triplets.txt", TASTE_PROFILE["train_triplets.txt"])
    packed, plain = read_all(home), read_all(unpacked(tmp_path / "plain", TASTE_PROFILE))
    assert (packed.rows, packed.titles) == (plain.rows, plain.titles)


def test_it_is_found_by_its_name(tmp_path: Path) -> None:
    unpacked(tmp_path / "million-song", TASTE_PROFILE)
    assert opened("million-song", data_home=tmp_path).name == "million-song"


@pytest.mark.parametrize(
    ("name", "line", "problem"),
    [
        (
            "train_triplets.txt",
            b"u\tSOBBMDR12A8C13253B\tmany\n",
            r"train_triplets\.txt:4: plays is 'many'; it must be a number",
        ),
        (
            "train_triplets.txt",
            b"u\tSOBBMDR12A8C13253B\n",
            r"train_triplets\.txt:4: the number of fields is 2; it must be 3",
        ),
        (
            "unique_tracks.txt",
            b"TR<SEP>SO\n",
            r"unique_tracks\.txt:4: the row is 'TR<SEP>SO'; it must be track<SEP>song",
        ),
    ],
)
def test_a_bad_line_is_refused_with_file_and_line_or_counted(
    tmp_path: Path, name: str, line: bytes, problem: str
) -> None:
    folder = unpacked(tmp_path, TASTE_PROFILE | {name: TASTE_PROFILE[name] + line})
    with pytest.raises(DataError, match=problem):
        read_all(folder)
    content = read_all(folder, skip_bad=True)
    assert (content.rows, content.bad_rows) == (ROWS, 1)
