"""Measure how fast an experiment is analysed as users grow, side by side with the peers, and write the section.

    python -m benchmarks.analysis --output docs/scale.md

Archives and databases are made once, in a folder that is kept where `--home` names one; 25 million users take about
ten gigabytes, and as many again in the databases. `--many 100` measures a hundred experiments against one instead.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks import records
from benchmarks.analysis import many, picture, report
from benchmarks.analysis.contenders import NAMES, growthbook
from benchmarks.analysis.measuring import Asked, measure

TITLE = "# The analysis at scale\n"
SECTION, SECTION_OF_MANY = "scale", "scale-many"
USERS = (100_000, 400_000, 1_600_000, 6_400_000, 25_000_000)
USERS_OF_MANY = 1_000_000
PICTURE = Path("images/scale.svg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the section; return 1 where something that is asked does not hold."""
    options = _options(arguments)
    command = shlex.join(["python", "-m", "benchmarks.analysis", *(arguments or sys.argv[1:])])
    with tempfile.TemporaryDirectory(prefix="abp-analysis-") as name:
        home = (options.home or Path(name)).absolute()
        if options.many:
            return _many(options, home, command)
        begun = perf_counter()
        names = tuple(options.only or NAMES)
        if growthbook.NAME in names:
            growthbook.install()
        asked = Asked(
            home,
            tuple(sorted(options.users or USERS)),
            names,
            options.rounds,
            options.patience,
            options.processes,
            keep=options.home is not None,
        )
        found = measure(asked, tell=_tell)
    folder = options.output.parent if options.output else None
    if folder is not None:
        picture.draw(found, folder / PICTURE)
    text = report.section(found, command=command, seconds=perf_counter() - begun, picture=str(PICTURE))
    _write(options.output, SECTION, text)
    return int(any(holds is False for _, _, holds in report.bars(found)))


def _many(options: argparse.Namespace, home: Path, command: str) -> int:
    found = many.measure(
        home,
        experiments=options.many,
        users=(options.users or (USERS_OF_MANY,))[0],
        rounds=options.rounds,
        processes=options.processes,
        tell=_tell,
    )
    _write(options.output, SECTION_OF_MANY, report.many_section(found, command=command))
    return int(found.ratio > report.MOST_OF_ONE)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", help=f"sizes; {' '.join(map(str, USERS))} by default")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"sides, of {', '.join(NAMES)}")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds that no side is to take at a size")
    parser.add_argument("--rounds", type=int, default=3, help="questions at each size; one where it takes long")
    parser.add_argument("--processes", type=int, default=2, help="that draw users side by side")
    parser.add_argument("--home", type=Path, help="where archives and databases are made, or stand already")
    parser.add_argument("--many", type=int, metavar="EXPERIMENTS", help="measure so many experiments against one")
    parser.add_argument("--output", type=Path)
    return parser.parse_args(arguments)


def _tell(line: str) -> None:
    print(line, flush=True)


def _write(path: Path | None, section: str, text: str) -> None:
    print(text)
    if path is None:
        return
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TITLE, encoding="utf-8")
    records.put_section(path, section, text)


if __name__ == "__main__":
    sys.exit(main())
