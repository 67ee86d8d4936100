"""Launch the experiments of a simulation, note what it is, and refuse a key that stands for something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, time, timedelta

from ab_platform.errors import ExperimentError
from ab_platform.experiment import Experiment
from ab_platform.lineage import Artifact, Change, Launch, Recipe
from ab_platform.simulation.plan import BEFORE_DAYS, Plan, truths
from ab_platform.simulation.sending import Period
from ab_platform.storage.store import Store

CODE_VERSION = "simulated"


def launched(store: Store, plan: Plan, at: datetime) -> tuple[Period, ...]:
    """Launch what is not launched: the week before, ended, and the experiment itself."""
    begins = starts_at(store, plan, at)
    world = plan.made
    periods = []
    if plan.before:
        before = _launch(store, plan.experiment_before, begins - timedelta(days=BEFORE_DAYS))
        store.stop(before.experiment.key, at=begins, reason="the week before is over")
        sound = replace(world, fault="none", delivery="punctual")
        periods.append(Period(before, sound, (world.control, world.control), plan.seed, stream=2))
    launch = _launch(store, plan.experiment, begins)
    periods.append(Period(launch, world, (world.control, world.treatment), plan.seed, stream=3))
    for period in periods:
        _note(store, plan, period, at)
    return tuple(periods)


def starts_at(store: Store, plan: Plan, at: datetime) -> datetime:
    """Return when the experiment starts or did: it ends at the midnight before the simulation was begun."""
    launch = standing(store, plan.key)
    midnight = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
    return midnight - timedelta(days=plan.days) if launch is None else launch.starts_at


def require_same(store: Store, plan: Plan) -> None:
    """Refuse a key that stands for something else.

    Raises:
        ExperimentError: with what was simulated under it.
    """
    launch = standing(store, plan.key)
    if launch is None:
        return
    noted = notes(store, plan.key)
    if not noted and launch.experiment != plan.experiment:
        raise ExperimentError(f"'{plan.key}' is an experiment that was not simulated; give another --key")
    wanted = plan.settings()
    earlier = noted[0] if noted else wanted
    changed = [name for name, value in wanted.items() if earlier.get(name) != value]
    if changed:
        raise ExperimentError(
            f"'{plan.key}' was simulated with {_told(earlier, changed)}; now {_told(wanted, changed)} is asked for: "
            "repeat it with the same settings, or give another --key"
        )


def finished(store: Store, key: str) -> bool:
    """Tell whether every visit of a simulation is there."""
    return len(notes(store, key)) > 1


def notes(store: Store, key: str) -> list[Mapping[str, object]]:
    """Return what was written when a simulation began, and when every visit was there."""
    return [change.after for change in store.changes(key) if change.action == "simulate"]


def standing(store: Store, key: str) -> Launch | None:
    """Return what is launched under a key."""
    return next((each for each in store.experiments() if each.experiment.key == key), None)


def _launch(store: Store, experiment: Experiment, starts_at: datetime) -> Launch:
    """Launch an experiment whose arms are made up, unless it stands."""
    launch = standing(store, experiment.key)
    if launch is not None:
        return launch
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
    if not notes(store, experiment.key):
        known = [asdict(truth) for truth in truths(experiment, *period.behaviours)]
        after = {**plan.settings(), "truths": known}
        store.note(Change(experiment.key, at, "simulate", None, after, "visits are simulated, not live"))


def _told(settings: Mapping[str, object], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {settings.get(name)}" for name in names)
