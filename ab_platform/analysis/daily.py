"""Analyze an experiment as of each of its days, so that it can be seen how its lifts came to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING

from ab_platform.analysis.readout import analyze
from ab_platform.errors import NotFoundError
from ab_platform.storage.store import Store

if TYPE_CHECKING:
    from ab_platform.storage.warehouse.reads import UserReads


def analyze_days(
    store: Store,
    key: str,
    *,
    progress: Callable[[int, int], None] = lambda done, days: None,
    reads: UserReads | None = None,
) -> tuple[date, ...]:
    """Analyze an experiment as of every day that was not analysed yet; what is done stays as it is.

    A day is due again when its newest event is another than it was, and when an earlier version analysed it, which
    stored less. A late event before the newest of its day leaves the day as it was: analyze it by its date.

    Args:
        store: holds experiments and results.
        key: the experiment.
        progress: told how many of the days are done, and how many there are.
        reads: what reads the users; the store by default.

    Returns:
        The days that were analysed now, the oldest first.

    Raises:
        NotFoundError: for an unknown experiment, or one without a single event.
        ExperimentError: for a segment or covariate that nothing is stored of.
    """
    store.experiment(key)
    reads = reads or store
    reads.roll_up()
    due = tuple(_due(store, reads, key))
    for number, day in enumerate(due):
        progress(number, len(due))
        analyze(store, key, as_of=day, reads=reads)
    progress(len(due), len(due))
    return due


def _due(store: Store, reads: UserReads, key: str) -> Iterator[date]:
    newest = reads.watermark(key)
    if newest is None:
        raise NotFoundError(f"{key} has no events that count yet; replay visits: `abp replay {key}`")
    first = store.experiment(key).starts_at.astimezone(UTC).date()
    known = {view.row.as_of: view.row.watermark for view in store.lift_history(key)}
    for number in range((newest.astimezone(UTC).date() - first).days + 1):
        day = first + timedelta(days=number)
        watermark = reads.watermark(key, day)
        if watermark is not None and known.get(day) != watermark:
            yield day
