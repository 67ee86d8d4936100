"""Compare what two stores hold of one experiment, to the digit: `python -m benchmarks.same_lifts URL URL EXPERIMENT`.

Such as the store that Airflow's tasks wrote to and that of a run in one process. Exit status 1 where they differ.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ab_platform.analysis import readout
from ab_platform.results import Readout
from ab_platform.storage.store import Store, open_store

PARTS = ("lifts", "sample_ratios", "truths", "segments", "segment_tests", "decisions")


def differing(one: Readout, other: Readout) -> list[str]:
    """Return the parts of two readouts that are not the same in every digit."""
    return [part for part in PARTS if getattr(one, part) != getattr(other, part)]


def arms(store: Store, experiment: str) -> dict[str, str]:
    """Return the artifact of each arm; its id is a hash of every weight."""
    return dict(store.experiment(experiment).artifacts)


def main(urls: Sequence[str], experiment: str) -> int:
    """Print both sides of the first rows and what differs; return the exit status."""
    stores = [open_store(url, migrate=False) for url in urls]
    one, other = (readout(store, experiment) for store in stores)
    print(f"{experiment}: artifacts {arms(stores[0], experiment)} and {arms(stores[1], experiment)}")
    for left, right in zip(one.lifts, other.lifts, strict=True):
        print(f"{left.surface}.{left.metric}: lift {left.lift!r} and {right.lift!r}")
    print(", ".join(f"{len(getattr(one, part))} {part.replace('_', ' ')}" for part in PARTS))
    found = differing(one, other)
    if arms(stores[0], experiment) != arms(stores[1], experiment):
        found.append("artifacts")
    print(f"NOT the same: {', '.join(found)}" if found else "the same in every digit")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:3], sys.argv[3]))
