"""Fetch a file over HTTP: resumed where it broke off, checked by its published MD5 sum, there whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ab_platform.errors import DataError

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
TRIES = 5
_PIECE_BYTES = 1 << 18
_MD5 = re.compile(rb"\b[0-9a-fA-F]{32}\b")

OnBytes = Callable[[int, int | None], None]
"""Takes the bytes that are there and, where known, the bytes of the whole file."""


def download(address: str, target: Path, on_bytes: OnBytes) -> None:
    """Fetch a file to a path.

    What is there of it stays in `TARGET.part` when the connection breaks, and the next call goes on from there.

    Args:
        address: of the file; its MD5 sum is looked for at the same address with `.md5` at the end.
        target: where the whole and checked file will be.
        on_bytes: told how far it is.

    Raises:
        DataError: no network, no such file, no room, or a wrong sum.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        wanted = _published_md5(address)
        _fetch(address, part, on_bytes)
        found = _md5(part)
        if found != wanted:
            part.unlink()
            raise DataError(
                f"{address} came with MD5 sum {found}; it must be {wanted}, so it was deleted: repeat the command"
            )
        part.replace(target)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(_failed(address, target, part, error)) from error


def _failed(address: str, target: Path, part: Path, error: Exception) -> str:
    kept = f"; {part.stat().st_size:,} bytes are kept, and the same command goes on from there" if part.exists() else ""
    return (
        f"{address} could not be fetched to {target} ({_reason(error)}){kept}; fetch it by hand, put it there and "
        "repeat the command, or begin without a network: `abp ingest synthetic`"
    )


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(cause) or type(cause).__name__


def _published_md5(address: str) -> str:
    with _open(urllib.request.Request(f"{address}.md5")) as response:
        found = _MD5.search(response.read(1_000))
    if found is None:
        raise DataError(f"{address}.md5 holds no MD5 sum, so the download cannot be checked; fetch the file by hand")
    return found[0].decode().lower()


def _fetch(address: str, part: Path, on_bytes: OnBytes) -> None:
    """Fetch what is missing, again and again while the connection breaks and something new has come."""
    for left in reversed(range(TRIES)):
        there = _size(part)
        try:
            _fetch_rest(address, part, on_bytes)
            return
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException):
            if not left or _size(part) == there:
                raise


def _fetch_rest(address: str, part: Path, on_bytes: OnBytes) -> None:
    there = _size(part)
    try:
        response = _open(urllib.request.Request(address, headers={"Range": f"bytes={there}-"} if there else {}))
    except urllib.error.HTTPError as error:
        # 416 says that there is nothing after what is there: whole, which the sum will show.
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and there:
            return
        raise
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            there = 0  # the server sends it all again
        total = _total(response, there)
        with part.open("ab" if there else "wb") as file:
            there = _copy(response, file, there, total, on_bytes)
    if total is not None and there < total:
        raise ConnectionError(f"the connection broke at {there:,} of {total:,} bytes")


def _total(response: http.client.HTTPResponse, there: int) -> int | None:
    coming = response.headers.get("Content-Length", "")
    return there + int(coming) if coming.isdecimal() else None


def _copy(response: IO[bytes], file: IO[bytes], there: int, total: int | None, on_bytes: OnBytes) -> int:
    while piece := response.read(_PIECE_BYTES):
        file.write(piece)
        there += len(piece)
        on_bytes(there, total)
    return there


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    """Open an address with a short time-out for the connection and a longer one for each read."""
    opened: http.client.HTTPResponse = urllib.request.build_opener(_Http, _Https).open(request, timeout=CONNECT_SECONDS)
    return opened


class _HttpConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _HttpsConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpConnection, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpsConnection, request)
