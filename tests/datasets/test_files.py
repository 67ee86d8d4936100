"""Files in folders and zips, in blocks of whole rows."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.datasets import files
from ab_platform.datasets.files import Member, blocks, content_hash, members
from ab_platform.errors import DataError
from tests.datasets.layouts import ML_1M, unpacked, zipped


def written(folder: Path, data: bytes) -> Member:
    (folder / "rows.csv").write_bytes(data)
    (member,) = members(folder / "rows.csv")
    return member


def ignore(done: int) -> None:
    return


@given(
    lines=st.lists(st.sampled_from([b"a,1", b'"b,\nb",2', b'"c""\r\nc",3', b"", b"ddddddddd,4"]), max_size=12),
    block_bytes=st.integers(1, 20),
)
def test_blocks_hold_whole_rows_and_know_their_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block_bytes: int
) -> None:
    data = b"\n".join(lines)
    member = written(tmp_path_factory.mktemp("blocks"), data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_BYTES", block_bytes)
        found = list(blocks(member, quoted=True))
    assert b"".join(block.data for block in found) == data
    before = b""
    for block in found:
        assert block.line == before.count(b"\n") + 1
        assert before.count(b'"') % 2 == 0
        assert before == b"" or before.endswith(b"\n")
        before += block.data


def test_a_row_without_an_end_is_refused_before_memory_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(files, "MOST_ROW_BYTES", 1 << 20)
    member = written(tmp_path, b'fine,1\n"' + b"never closed\n" * 100_000)
    with pytest.raises(DataError, match=r"rows\.csv:2: the row is longer than 1 MB; .* close each double quote"):
        list(blocks(member, quoted=True))


def test_a_zip_and_a_folder_of_the_same_files_have_one_hash(tmp_path: Path) -> None:
    folder = members(unpacked(tmp_path / "folder", ML_1M))
    packed = members(zipped(tmp_path / "x.zip", ML_1M, top="other"))
    by_name = [sorted(each, key=lambda member: member.name) for each in (folder, packed)]
    assert content_hash(by_name[0], ignore) == content_hash(by_name[1], ignore)


def test_moving_the_border_between_two_files_changes_the_hash(tmp_path: Path) -> None:
    one = members(unpacked(tmp_path / "one", {"a": b"12", "b": b"3"}))
    other = members(unpacked(tmp_path / "other", {"a": b"1", "b": b"23"}))
    assert content_hash(one, ignore) != content_hash(other, ignore)


def test_a_damaged_zip_is_refused_with_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "ml-1m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("ml-1m/ratings.dat", ML_1M["ratings.dat"])
    path.write_bytes(path.read_bytes().replace(b"978300760", b"978300761"))
    with pytest.raises(DataError, match=r"ratings\.dat cannot be read \(Bad CRC-32.*fetch it again"):
        content_hash(members(path), ignore)


def test_a_zip_that_broke_off_is_refused_with_the_next_step(tmp_path: Path) -> None:
    path = zipped(tmp_path / "ml-1m.zip", ML_1M, top="ml-1m")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"ml-1m\.zip cannot be read .* fetch it again"):
        members(path)
