"""Measure the whole table, print it and write it.

    make calibrate

is `python -m benchmarks.calibration --output docs/calibration.md`: 10,000 repetitions a cell on two processes, which
takes about ten minutes. The exit status is 1 where a figure is outside its bound. What is measured does not depend on
the number of processes.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

import numpy as np
import scipy

from ab_platform.cli.console import bar
from benchmarks.calibration.cell import BLOCK
from benchmarks.calibration.processes import measure_all
from benchmarks.calibration.table import as_markdown, verdict

REPETITIONS = 10_000


def main() -> None:
    """Read the options, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help=f"a multiple of {BLOCK}")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with bar("calibrate") as advance:
        found = measure_all(options.repetitions, options.processes, advance=advance)
    text = as_markdown(found, repetitions=options.repetitions, made_by=_made_by())
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    if not all(figure.within for figure in found):
        sys.exit(verdict(found))


def _made_by() -> str:
    """Say what computed the table, and what it took."""
    spent = os.times()
    minutes = (spent.user + spent.system + spent.children_user + spent.children_system) / 60.0
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}"
    return f"{versions}; {minutes:.1f} minutes of processor time."


if __name__ == "__main__":
    main()
