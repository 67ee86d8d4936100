"""A child process that archives and kills itself, as `kill -9` would: in a part, before a manifest, or before the note.

python -m tests.killed_archiving STAGE DATABASE_URL FOLDER
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from ab_platform import archiving
from ab_platform.storage.archive import Archive, ArchivedFile, Part
from ab_platform.storage.store import Store, open_store
from tests.storage.archived import LATER


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main(stage: str, url: str, folder: Path) -> None:
    store, into = open_store(url, migrate=False), Archive(folder)
    if stage == "part":
        finish = Part.finish

        def finished(part: Part) -> ArchivedFile | None:
            return finish(part) if part.table != "user_days" else die()

        Part.finish = finished  # type: ignore[assignment, method-assign]
    if stage == "publish":
        Archive.publish = lambda *_, **__: die()  # type: ignore[method-assign]
    if stage == "note":
        Store.note_archived = lambda *_, **__: die()  # type: ignore[method-assign]
    archiving.archive(store, into, at=LATER)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
