"""Simulate a world: launch its experiments, record what its users do, roll up, and analyze.

Users go through in fixed batches, each recorded in one transaction; so a simulation that was cut short goes on where it
stopped and ends the same, and one that was done changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, time, timedelta

from ab_platform import analysis
from ab_platform.errors import ExperimentError
from ab_platform.experiment import Experiment
from ab_platform.lineage import Artifact, Change, Launch, Recipe
from ab_platform.results import Readout
from ab_platform.simulation.plan import BEFORE_DAYS, Plan, truths
from ab_platform.simulation.sending import Period, arriving, batch_users
from ab_platform.simulation.visits import Users
from ab_platform.storage.store import Store
from ab_platform.storage.warehouse.reads import UserReads

USERS_AT_ONCE = 1_000

CODE_VERSION = "simulated"


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
    _require_same(store, plan)
    periods = _launched(store, plan, at)
    stored = 0
    if not _finished(store, plan.key):
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


def _launched(store: Store, plan: Plan, at: datetime) -> tuple[Period, ...]:
    """Launch what is not launched: the week before, ended, and the experiment itself."""
    standing = _standing(store, plan.key)
    midnight = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
    starts_at = midnight - timedelta(days=plan.days) if standing is None else standing.starts_at
    world = plan.made
    periods = []
    if plan.before:
        before = _launch(store, plan.experiment_before, starts_at - timedelta(days=BEFORE_DAYS))
        store.stop(before.experiment.key, at=starts_at, reason="the week before is over")
        sound = replace(world, fault="none", delivery="punctual")
        periods.append(Period(before, sound, (world.control, world.control), plan.seed, stream=2))
    launch = _launch(store, plan.experiment, starts_at)
    periods.append(Period(launch, world, (world.control, world.treatment), plan.seed, stream=3))
    for period in periods:
        _note(store, plan, period, at)
    return tuple(periods)


def _launch(store: Store, experiment: Experiment, starts_at: datetime) -> Launch:
    """Launch an experiment whose arms are made up, unless it stands."""
    standing = _standing(store, experiment.key)
    if standing is not None:
        return standing
    artifacts = {arm.name: f"{experiment.key}-{arm.name}" for arm in experiment.arms}
    for arm in experiment.arms:
        recipe = Recipe(arm.recommender, {}, arm.seed, experiment.data.dataset, "simulated", CODE_VERSION)
        store.register(Artifact(artifacts[arm.name], recipe, {}, starts_at))
    ends_at = starts_at + timedelta(days=experiment.days)
    made = Launch(experiment, artifacts, "running", experiment.traffic, starts_at, starts_at, ends_at)
    store.launch(made, reason="its visits are simulated")
    return store.experiment(experiment.key)


def _note(store: Store, plan: Plan, period: Period, at: datetime) -> None:
    """Write settings and true lifts to the change log, once."""
    experiment = period.launch.experiment
    if not _notes(store, experiment.key):
        known = [asdict(truth) for truth in truths(experiment, *period.behaviours)]
        after = {**plan.settings(), "truths": known}
        store.note(Change(experiment.key, at, "simulate", None, after, "visits are simulated, not live"))


def _require_same(store: Store, plan: Plan) -> None:
    """Refuse a key that stands for something else."""
    standing = _standing(store, plan.key)
    if standing is None:
        return
    noted = _notes(store, plan.key)
    if not noted and standing.experiment != plan.experiment:
        raise ExperimentError(f"'{plan.key}' is an experiment that was not simulated; give another --key")
    wanted = plan.settings()
    earlier = noted[0] if noted else wanted
    changed = [name for name, value in wanted.items() if earlier.get(name) != value]
    if changed:
        raise ExperimentError(
            f"'{plan.key}' was simulated with {_told(earlier, changed)}; now {_told(wanted, changed)} is asked for: "
            "repeat it with the same settings, or give another --key"
        )


def _told(settings: Mapping[str, object], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {settings.get(name)}" for name in names)


def _finished(store: Store, key: str) -> bool:
    return len(_notes(store, key)) > 1


def _notes(store: Store, key: str) -> list[Mapping[str, object]]:
    """Return what was written when a simulation began, and when every visit was recorded."""
    return [change.after for change in store.changes(key) if change.action == "simulate"]


def _standing(store: Store, key: str) -> Launch | None:
    return next((each for each in store.experiments() if each.experiment.key == key), None)
