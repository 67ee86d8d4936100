"""A child process that analyses over the archive and kills itself, as `kill -9` would.

python -m tests.killed_analysis STAGE DATABASE_URL FOLDER DAY

STAGE says where: between users' ids and their `numbers`, in the middle of `totals`, before their `sums` are kept,
before the `readout` is stored, or `after` it.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

from ab_platform.analysis import analyze
from ab_platform.analysis.readout import population_of
from ab_platform.storage.archive import Archive, numbering
from ab_platform.storage.store import Store, open_store
from ab_platform.storage.warehouse import ArchiveReads, open_engine
from ab_platform.storage.warehouse.answered import Answered
from ab_platform.storage.warehouse.totals import Totals
from tests.analysis.made import KEY
from tests.killed_archiving import die
from tests.storage.warehouse.exported import FAMILIES


def main(stage: str, url: str, folder: Path, day: date) -> None:
    store = open_store(url, migrate=False)
    if stage == "numbers":
        numbering._forget_others = lambda *_: die()
    if stage == "totals":

        def cut_short(totals: Totals, path: Path) -> None:
            path.write_bytes(totals.users.tobytes())
            die()

        Totals.write = cut_short  # type: ignore[assignment, method-assign]
    if stage == "sums":
        Answered.keep = lambda *_: die()  # type: ignore[method-assign]
    if stage == "readout":
        Store.write_readout = lambda *_, **__: die()  # type: ignore[method-assign]
    reads = ArchiveReads(store, Archive(folder), open_engine("duckdb", beside=folder))
    reads.cells(population_of(store, store.experiment(KEY), day), FAMILIES)
    analyze(store, KEY, as_of=day, reads=reads)
    die()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), date.fromisoformat(sys.argv[4]))
