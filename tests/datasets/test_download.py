"""Downloads from a server of the test's own: resumed, checked, and clear when they fail."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ab_platform.datasets import catalog
from ab_platform.datasets import download as downloading
from ab_platform.datasets.download import download
from ab_platform.datasets.locate import locate
from ab_platform.datasets.naming import ColumnNames
from ab_platform.datasets.source import BadRows
from ab_platform.errors import DataError
from tests.datasets.layouts import ML_LATEST, zipped

DATA = bytes(range(256)) * 4_000
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves files and their sums, and misbehaves as told.

    Attributes:
        files: what is served, by path.
        md5: the text of the sum's file, or None for the right one.
        break_after: bytes after which each answer breaks off, or None.
        knows_ranges: whether a Range is honoured.
        ranges: the Range headers that came, in order, None for none.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/file.zip": DATA}
        self.md5: str | None = None
        self.break_after: int | None = None
        self.knows_ranges = True
        self.ranges: list[str | None] = []

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def address(self) -> str:
        return f"{self.root}/file.zip"

    def sum_of(self, path: str) -> bytes:
        """Return the sum as GroupLens writes it."""
        right = f"MD5 ({path[1:]}) = {hashlib.md5(self.files[path], usedforsecurity=False).hexdigest()}\n"
        return (right if self.md5 is None else self.md5).encode()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.removesuffix(".md5")
        if path not in self.server.files:
            self.send_error(404)
        elif path != self.path:
            self.answer(200, self.server.sum_of(path))
        else:
            self.send_file(self.server.files[path])

    def send_file(self, data: bytes) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.knows_ranges else 0
        if start >= len(data):
            self.send_error(416)
            return
        self.answer(206 if start else 200, data[start:], self.server.break_after)

    def answer(self, status: int, body: bytes, break_after: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:break_after])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


def ignore(done: int, total: int | None) -> None:
    return


def test_a_file_comes_whole_with_progress_and_leaves_no_part(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download(server.address, tmp_path / "new" / "file.zip", lambda done, total: seen.append((done, total)))
    assert (tmp_path / "new" / "file.zip").read_bytes() == DATA
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.zip"]
    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_what_is_there_of_it_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(DATA[:1_000])
    seen: list[int] = []
    download(server.address, tmp_path / "file.zip", lambda done, total: seen.append(done))
    assert (tmp_path / "file.zip").read_bytes() == DATA
    assert server.ranges == ["bytes=1000-"]
    assert seen[0] > 1_000
    assert seen[-1] == len(DATA)


def test_a_connection_that_breaks_now_and_then_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.break_after = 300_000
    download(server.address, tmp_path / "file.zip", ignore)
    assert (tmp_path / "file.zip").read_bytes() == DATA
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_connection_that_breaks_too_often_keeps_what_came_for_the_next_call(server: Server, tmp_path: Path) -> None:
    server.break_after = 1_000
    with pytest.raises(DataError, match=r"the connection broke at 5,000 of 1,024,000 bytes.*; 5,000 bytes are kept"):
        download(server.address, tmp_path / "file.zip", ignore)
    assert not (tmp_path / "file.zip").exists()
    server.break_after = None
    download(server.address, tmp_path / "file.zip", ignore)
    assert (tmp_path / "file.zip").read_bytes() == DATA
    assert server.ranges[-1] == "bytes=5000-"


def test_a_server_that_knows_no_ranges_sends_it_all_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / "file.zip.part").write_bytes(b"something")
    download(server.address, tmp_path / "file.zip", ignore)
    assert (tmp_path / "file.zip").read_bytes() == DATA


def test_a_whole_part_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(DATA)
    download(server.address, tmp_path / "file.zip", ignore)
    assert (tmp_path / "file.zip").read_bytes() == DATA


def test_a_wrong_sum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.md5 = f"{'0' * 32}  file.zip\n"
    with pytest.raises(DataError, match=rf"came with MD5 sum {MD5}; it must be 0{{32}}, so it was deleted: repeat"):
        download(server.address, tmp_path / "file.zip", ignore)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_sum_is_refused(server: Server, tmp_path: Path) -> None:
    server.md5 = "<html>moved</html>"
    with pytest.raises(DataError, match=r"file\.zip\.md5 holds no MD5 sum, .* fetch the file by hand"):
        download(server.address, tmp_path / "file.zip", ignore)


def test_a_file_that_is_not_there_is_refused_with_the_next_step(server: Server, tmp_path: Path) -> None:
    address = server.address.replace("file", "other")
    with pytest.raises(DataError, match=r"other\.zip could not be fetched to .*Not Found.*abp ingest synthetic"):
        download(address, tmp_path / "file.zip", ignore)


def test_no_server_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/file.zip"
        with pytest.raises(DataError, match=r"could not be fetched to .*Connection refused.*fetch it by hand, put it"):
            download(address, tmp_path / "file.zip", ignore)


@contextmanager
def silent() -> Iterator[str]:
    """Accept connections and never answer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/file.zip"


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "READ_SECONDS", 0.2)
    with silent() as address, pytest.raises(DataError, match=r"could not be fetched .*timed out"):
        download(address, tmp_path / "file.zip", ignore)


def test_a_folder_that_cannot_be_written_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"a file, no folder")
    with pytest.raises(DataError, match=r"could not be fetched to .*taken.*(File exists|Not a directory)"):
        download(server.address, tmp_path / "taken" / "file.zip", ignore)


def test_a_name_that_is_not_in_the_data_folder_is_fetched_into_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = zipped(tmp_path / "published.zip", ML_LATEST, top="ml-latest-small")
    server.files["/ml-latest-small.zip"] = packed.read_bytes()
    monkeypatch.setattr(catalog, "GROUPLENS", server.root)
    seen: list[int] = []
    found = locate(
        "ml-latest-small",
        data_home=tmp_path / "data",
        columns=ColumnNames(),
        seed=0,
        allow_download=True,
        on_bytes=lambda done, total: seen.append(done),
    )
    assert (found.name, found.place) == ("ml-latest-small", str(tmp_path / "data" / "ml-latest-small.zip"))
    assert seen[-1] == packed.stat().st_size
    assert len(list(found.batches(BadRows(skip=False)))) == 1
