"""The split as files: a round trip, the published form, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from models.errors import ModelError
from models.interactions import HeldOut, UserSplit
from models.split_files import read_split, write_split
from tests.models.tastes import two_groups

# As published: items in the order in which training users meet them, uids on from part to part, pairs in any order.
PUBLISHED: Mapping[str, str] = {
    "unique_sid.txt": "661\n9\n31\n1193\n7\n",
    "train.csv": "uid,sid\n0,0\n0,1\n1,2\n1,3\n1,4\n",
    "validation_tr.csv": "uid,sid\n2,4\n2,0\n",
    "validation_te.csv": "uid,sid\n2,2\n",
    "test_tr.csv": "uid,sid\n4,1\n3,0\n",
    "test_te.csv": "uid,sid\n3,3\n4,0\n4,2\n",
}


def written(folder: Path, changed: Mapping[str, str | None] | None = None) -> Path:
    """Write the published form, with some files changed, or left out for None."""
    for name, text in ({**PUBLISHED, **(changed or {})}).items():
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def listed(part: HeldOut, split: UserSplit) -> dict[str, tuple[set[str], set[str]]]:
    """Return each user's items shown and to be found, by their ids."""
    items = np.array(split.train.items)
    return {
        user: (set(items[part.fold_in[row].indices].tolist()), set(items[part.held_out[row].indices].tolist()))
        for row, user in enumerate(part.users)
    }


def test_the_published_form_is_read_with_the_ids_of_its_items(tmp_path: Path) -> None:
    split = read_split(written(tmp_path))
    assert split.train.items == ("1193", "31", "661", "7", "9")
    assert split.train.users == ("0", "1")
    assert split.train.matrix.toarray().tolist() == [[0, 0, 1, 0, 1], [1, 1, 0, 1, 0]]
    assert listed(split.validation, split) == {"2": ({"7", "661"}, {"31"})}
    assert listed(split.test, split) == {"3": ({"661"}, {"1193"}), "4": ({"9"}, {"661", "31"})}


def test_users_are_called_by_their_file_where_there_is_one(tmp_path: Path) -> None:
    split = read_split(written(tmp_path, {"unique_uid.txt": "zoe\nadam\nvera\ntim\ntom\n"}))
    assert split.train.users == ("adam", "zoe")
    assert split.train.matrix.toarray().tolist() == [[1, 1, 0, 1, 0], [0, 0, 1, 0, 1]]
    assert (split.validation.users, split.test.users) == (("vera",), ("tim", "tom"))


def test_repeated_pairs_and_blank_lines_change_nothing(tmp_path: Path) -> None:
    plain = read_split(written(tmp_path))
    text = PUBLISHED["test_tr.csv"] + "\n3,0\n\n"
    again = read_split(written(tmp_path, {"test_tr.csv": text}))
    assert again.test.content_hash() == plain.test.content_hash()
    assert again.test.fold_in.data.tolist() == [1, 1]


def test_what_is_written_is_read_again_as_it_was(tmp_path: Path) -> None:
    split = two_groups().split_users(validation_users=20, test_users=30, seed=1)
    write_split(tmp_path / "new" / "pro_sg", split)
    again = read_split(tmp_path / "new" / "pro_sg")
    assert (again.train.users, again.train.items) == (split.train.users, split.train.items)
    np.testing.assert_array_equal(again.train.matrix.toarray(), split.train.matrix.toarray())
    assert again.validation.content_hash() == split.validation.content_hash()
    assert again.test.content_hash() == split.test.content_hash()
    uids = np.loadtxt(tmp_path / "new" / "pro_sg" / "test_te.csv", delimiter=",", skiprows=1, dtype=int)[:, 0]
    first = len(split.train.users) + len(split.validation.users)
    assert set(uids.tolist()) == set(range(first, first + len(split.test.users)))


def test_a_folder_that_holds_a_split_is_not_written_over(tmp_path: Path) -> None:
    split = read_split(written(tmp_path))
    with pytest.raises(ModelError, match=r"holds unique_sid\.txt already; give a new folder"):
        write_split(tmp_path, split)


def test_an_id_that_does_not_fit_on_a_line_is_refused(tmp_path: Path) -> None:
    split = read_split(written(tmp_path))
    held = HeldOut(split.test.fold_in, split.test.held_out, ("a\nb", "c"))
    with pytest.raises(ModelError, match=r"the id 'a\\nb' does not fit on a line of unique_uid\.txt"):
        write_split(tmp_path / "new", UserSplit(split.train, split.validation, held))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("test_te.csv", None, r"test_te\.csv is not there; a split in this layout has unique_sid\.txt, train\.csv"),
        ("unique_sid.txt", None, r"unique_sid\.txt is not there"),
        ("unique_sid.txt", "1193\n\n661\n7\n9\n", r"unique_sid\.txt:2: the line is empty; it must hold an id"),
        ("unique_sid.txt", "", r"unique_sid\.txt:1: the line is empty"),
        ("unique_sid.txt", "7\n31\n661\n7\n9\n", r"the item id '7' appears twice"),
        ("train.csv", "userId,movieId\n0,0\n", r"train\.csv:1: the header is 'userId,movieId'; it must be 'uid,sid'"),
        ("train.csv", "uid,sid\n\n", r"train\.csv holds no pair; each part of a split needs at least one user"),
        ("train.csv", "uid,sid\n0,0\n\n1,five\n", r"train\.csv:4: the line is '1,five'; it must be two whole numbers"),
        ("train.csv", "uid,sid\n0,0\n1,-1\n", r"train\.csv:3: the line is '1,-1'; it must be two whole numbers"),
        ("train.csv", "uid,sid\n0,0,1\n", r"train\.csv:2: the line is '0,0,1'; it must be two whole numbers"),
        ("train.csv", "uid,sid\n0,0\n1\n", r"train\.csv:3: the line is '1'; it must be two whole numbers"),
        ("train.csv", "uid,sid\n0,1.5\n", r"train\.csv:2: the line is '0,1\.5'"),
        (
            "test_te.csv",
            "uid,sid\n3,3\n4,5\n",
            r"test_te\.csv:3: the sid is 5; it must be below 5, the lines of",
        ),
        (
            "unique_uid.txt",
            "a\nb\nc\nd\n",
            r"test_tr\.csv:2: the uid is 4; it must be below 4, the lines of",
        ),
        (
            "train.csv",
            "uid,sid\n99999999999999999999,0\n",
            r"train\.csv:2: the uid is 99999999999999999999; it must",
        ),
        (
            "test_te.csv",
            "uid,sid\n3,3\n",
            r"uid 4 is in test_tr\.csv and not in test_te\.csv \(1 such\); a held-out",
        ),
        ("test_tr.csv", "uid,sid\n3,0\n", r"uid 4 is in test_te\.csv and not in test_tr\.csv"),
        (
            "test_te.csv",
            "uid,sid\n3,3\n4,1\n",
            r"uid 4 has an item in test_tr\.csv and in test_te\.csv; leave it",
        ),
        ("train.csv", "uid,sid\n0,0\n3,1\n", r"user 3 is in train\.csv and in test_tr\.csv; who is judged must be in"),
    ],
)
def test_another_layout_is_refused_with_file_and_line(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        read_split(written(tmp_path, {name: text}))
