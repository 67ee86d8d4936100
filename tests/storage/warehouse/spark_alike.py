"""Run in Spark's environment: a readout by Spark beside those of DuckDB and of the database.

python -m tests.storage.warehouse.spark_alike MASTER FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic

from ab_platform.analysis import analyze
from ab_platform.storage.store import open_store
from ab_platform.storage.warehouse import ArchiveReads, open_engine
from tests.analysis.made import KEY
from tests.analysis.test_warehouse import RULES, world
from tests.storage.warehouse.exported import exported


def main(master: str, folder: Path) -> int:
    """Compare, and say how long each took."""
    store = open_store(f"sqlite:///{folder / 'abp.db'}", migrate=True)
    world(store, RULES["every source"])
    archive = exported(store, folder / "archive")
    expected = analyze(store, KEY)
    for named in ("duckdb", master):
        begun = monotonic()
        engine = open_engine(named, beside=archive.folder)
        opened = monotonic()
        found = analyze(store, KEY, reads=ArchiveReads(store, archive, engine))
        same = "the same" if found == expected else "other"
        took = f"opened in {opened - begun:.1f} s, analyzed in {monotonic() - opened:.1f} s"
        sys.stdout.write(f"{named}: {took}: {same} digits\n")
        if found != expected:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
