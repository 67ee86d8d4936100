"""A sealed file is read as it was written, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from ab_platform.storage.archive import sealed


@pytest.mark.parametrize("content", [b"", b"a", b"12345678", b"what is in a file, of any length"])
def test_what_was_sealed_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    if content:
        sealed.seal(path)
        assert sealed.read(path).to_pybytes() == content
    path.write_bytes(content + sealed.seal_of(content))
    assert sealed.read(path).to_pybytes() == content


def test_any_bit_that_changes_is_found(tmp_path: Path) -> None:
    content = b"every byte counts"
    whole = content + sealed.seal_of(content)
    for place in range(len(whole)):
        for bit in range(8):
            (tmp_path / "file").write_bytes(whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :])
            with pytest.raises(ValueError, match="is not as it was written"):
                sealed.read(tmp_path / "file")


@pytest.mark.parametrize("length", range(12))
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "file").write_bytes(b"\1\2\3" * 4)
    sealed.seal(tmp_path / "file")
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes()[:length])
    with pytest.raises(ValueError, match="is not as it was written"):
        sealed.read(tmp_path / "file")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sealed.read(tmp_path / "file")
