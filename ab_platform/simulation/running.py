"""Simulate a world: launch its experiments, record what its users do, roll up, and analyze.

Users go through in fixed batches, each recorded in one transaction; so a simulation that was cut short goes on where it
stopped and ends the same, and one that was done changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ab_platform import analysis
from ab_platform.errors import ExperimentError
from ab_platform.lineage import Change
from ab_platform.results import Readout
from ab_platform.simulation.launches import finished, launched, require_same
from ab_platform.simulation.plan import Plan
from ab_platform.simulation.sending import Period, arriving, batch_users
from ab_platform.simulation.visits import Users
from ab_platform.storage.store import Store

if TYPE_CHECKING:
    from ab_platform.storage.warehouse.reads import UserReads

USERS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Simulated:
    """What a simulation did.

    Attributes:
        events_stored: events that were new.
        readout: the table as of the planned end.
    """

    events_stored: int
    readout: Readout


def simulate(
    store: Store,
    plan: Plan,
    *,
    at: datetime,
    progress: Callable[[int, int], None] | None = None,
    reads: UserReads | None = None,
) -> Simulated:
    """Simulate a world; the very same again changes nothing.

    Args:
        store: takes launches, events and results.
        plan: what is asked for.
        at: now; the experiment ends at the midnight before it.
        progress: called with users done and users in all.
        reads: what reads the users for the analysis; the store by default.

    Raises:
        ExperimentError: for a key under which something else was launched or simulated.
    """
    require_same(store, plan)
    periods = launched(store, plan, at)
    stored = 0
    if not finished(store, plan.key):
        stored = _record(store, plan, periods, progress)
        store.note(Change(plan.key, at, "simulate", None, {"recorded_users": plan.users}, "every visit is recorded"))
    last_day = (periods[-1].launch.ends_at - timedelta(days=1)).date()
    return Simulated(stored, analysis.analyze(store, plan.key, as_of=last_day, reads=reads))


def _record(store: Store, plan: Plan, periods: Sequence[Period], progress: Callable[[int, int], None] | None) -> int:
    """Take all users through all periods, and return how many events were new."""
    total = plan.users * sum(period.passes for period in periods)
    stored = done = 0
    for batch in _batches(plan.users):
        _write_attributes(store, plan.dataset, batch_users(plan.made, plan.seed, batch))
    for period in periods:
        for number in range(period.passes):
            for batch in _batches(plan.users):
                recorded = store.record(arriving(period, batch, number=number))
                if recorded.too_late:
                    raise ExperimentError(
                        f"'{plan.key}' cannot be simulated further: its raw events were deleted; give another --key"
                    )
                stored += recorded.stored
                done += len(batch)
                if progress:
                    progress(done, total)
            # After each pass: what is late finds its day counted, and opens it again.
            store.roll_up(period.launch.experiment.key)
    return stored


def _batches(users: int) -> Iterator[range]:
    for first in range(0, users, USERS_AT_ONCE):
        yield range(first, min(first + USERS_AT_ONCE, users))


def _write_attributes(store: Store, dataset: str, users: Users) -> None:
    for name, values in (
        ("device", users.device.tolist()),
        ("country", users.country.tolist()),
        ("interactions", map(str, users.interactions.tolist())),
    ):
        store.write_attributes(dataset, name, zip(users.ids, values, strict=True))
