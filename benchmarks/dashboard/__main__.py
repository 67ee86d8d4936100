"""Measure how long the dashboard takes to show its pages and to answer a click, and write the section.

    python -m benchmarks.dashboard --output docs/dashboard-speed.md

The store is made once, in a folder that is kept where `--home` names one; of full size it takes about 4 GB.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter

from ab_platform.storage.store import open_store
from benchmarks import records
from benchmarks.dashboard import report
from benchmarks.dashboard.measuring import measure
from benchmarks.dashboard.pages import pages
from benchmarks.dashboard.world import SMALL, WHOLE, Size, key_of, make, visitor

TITLE = "# The dashboard's speed\n"
SECTION = "dashboard-speed"


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the store where it is not there, measure every page, and print or write the section."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="abp-dashboard-") as name:
        folder = Path(name)
        home = (options.home or folder / "home").absolute()
        begun = perf_counter()
        size = make(home, _size(options))
        print(f"the store is there after {perf_counter() - begun:.0f} s: {home}", flush=True)
        key = key_of(size.experiments - 1)
        with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=False)) as store:
            user, _ = visitor(store.experiment(key))
        found = [each for each in pages(key, user) if options.only is None or each.module in options.only]
        measured = measure(home, folder, found, rounds=options.rounds, tell=lambda line: print(line, flush=True))
        gigabytes = (home / "abp.db").stat().st_size / 1e9
    command = shlex.join(["python", "-m", "benchmarks.dashboard", *(arguments or sys.argv[1:])])
    text = report.section(measured, size, gigabytes, command=command, rounds=options.rounds)
    _write(options.output, text)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="5 experiments and 50,000 users: to see that it runs")
    parser.add_argument("--users", type=int, help="exposed users, over all experiments")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="modules of the pages")
    parser.add_argument("--home", type=Path, help="where the store is made, or stands already")
    parser.add_argument("--output", type=Path)
    return parser.parse_args(arguments)


def _size(options: argparse.Namespace) -> Size:
    whole = SMALL if options.small else WHOLE
    return whole if options.users is None else Size(whole.experiments, whole.days, options.users)


def _write(path: Path | None, text: str) -> None:
    print(text)
    if path is None:
        return
    if not path.exists():
        path.write_text(TITLE, encoding="utf-8")
    records.put_section(path, SECTION, text)


if __name__ == "__main__":
    main()
