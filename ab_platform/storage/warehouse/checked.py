"""Files of the archive are used once their checksum was found right; what was checked is written down."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress

from ab_platform.errors import StoreError
from ab_platform.storage.archive import Archive, ArchivedFile, manifest

VERIFIED = "verified.json"


def require_whole(archive: Archive, files: Iterable[ArchivedFile]) -> None:
    """Compare the checksums of files that were not compared yet, or have changed since.

    Raises:
        StoreError: for one that is not as it was published.
    """
    known = _known(archive)
    # A file that is not there has no stamp, and what was never checked is known by none.
    new = {each.path: each for each in files if known.get(each.path, []) != _stamp(archive, each.path)}
    if not new:
        return
    for file, wrong in archive.damage(new.values()).items():
        raise StoreError(
            f"{archive.folder / file.path} {wrong}; see what is damaged and mend it: `abp archive --verify`"
        )
    seen = {path: _stamp(archive, path) for path in (*known, *new)}
    standing = {path: stamp for path, stamp in sorted(seen.items()) if stamp is not None}
    manifest.replace(archive.folder / VERIFIED, json.dumps(standing).encode())


def _known(archive: Archive) -> dict[str, list[int]]:
    """Return what was checked; where that cannot be read, nothing was."""
    with suppress(OSError, ValueError):
        return dict(json.loads((archive.folder / VERIFIED).read_bytes()))
    return {}


def _stamp(archive: Archive, path: str) -> list[int] | None:
    """Return by what a change of a file is seen: its size and when it was written; None where it is not there."""
    with suppress(FileNotFoundError):
        found = (archive.folder / path).stat()
        return [found.st_size, found.st_mtime_ns]
    return None
