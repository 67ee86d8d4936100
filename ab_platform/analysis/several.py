"""Analyze several experiments: what is new is rolled up once, and one scan of a day's users serves all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from ab_platform.analysis.readout import Due, analyzed, due
from ab_platform.errors import StoreError
from ab_platform.results import Readout
from ab_platform.storage.store import Store

if TYPE_CHECKING:
    from ab_platform.storage.warehouse.reads import UserReads

Progress = Callable[[str, int, int], None]
"""Told a stage, and how many of how many are done."""


@dataclass(frozen=True, eq=False)
class Several:
    """What became of the analyses.

    Attributes:
        readouts: of those that were analysed, in the order asked for.
        failed: why one was not, by its key.
    """

    readouts: tuple[Readout, ...]
    failed: dict[str, Exception]


def analyze_all(
    store: Store,
    keys: Sequence[str],
    *,
    as_of: date | None = None,
    reads: UserReads | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Several:
    """Analyze experiments as `analyze` does each; one that cannot be analysed does not keep the others from it.

    Args:
        store: holds experiments and results.
        keys: the experiments.
        as_of: last day (UTC, inclusive) that counts; by default, for each, the day of its newest event.
        reads: what reads the users; the store by default.
        progress: told of both stages, reading the users and analysing.
    """
    reads = reads or store
    reads.roll_up()
    keys = tuple(dict.fromkeys(keys))
    failed: dict[str, Exception] = {}
    found = _all_due(store, reads, keys, as_of, failed)
    # Where reading ahead fails, each is asked on its own, and tells what is wrong.
    with suppress(StoreError):
        reads.read_ahead([each.wanted for each in found], lambda done, total: progress("read users", done, total))
    readouts = []
    for number, each in enumerate(found):
        progress("analyze experiments", number, len(found))
        try:
            readouts.append(analyzed(store, reads, each))
        except Exception as error:  # whatever it is, the others go on
            failed[each.launch.experiment.key] = error
    progress("analyze experiments", len(found), len(found))
    return Several(tuple(readouts), failed)


def _all_due(
    store: Store, reads: UserReads, keys: Sequence[str], as_of: date | None, failed: dict[str, Exception]
) -> list[Due]:
    """Say what each analysis is made of; whose cannot be made is put among the failed."""
    launches = store.experiments()
    known = {each.experiment.key: each for each in launches}
    watermarks = reads.watermarks([key for key in keys if key in known], as_of)
    attributes = cache(reads.attributes)
    found = []
    for key in keys:
        try:
            launch = known.get(key) or store.experiment(key)  # which says what is wrong with the key
            stored = attributes(launch.experiment.data.dataset)
            found.append(due(store, launch, watermarks.get(key), stored, as_of=as_of, launches=launches))
        except Exception as error:  # whatever it is, the others go on
            failed[key] = error
    return found
