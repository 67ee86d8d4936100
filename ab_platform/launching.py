"""An experiment file -> a running experiment: plan what would happen, train what is not trained, freeze, start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from ab_platform import planning
from ab_platform.errors import DataError, ExperimentError
from ab_platform.experiment import Arm, ConfigValue, DataRule, Experiment
from ab_platform.lineage import Artifact, Launch, Recipe
from ab_platform.power_plan import PowerPlan
from ab_platform.quality import qualities, require_quality
from ab_platform.serving import FALLBACK, Histories, Server
from ab_platform.storage.store import Store
from ab_platform.training import OnEpoch, Snapshot, Workshop, load_arm, popularity_of, recipe, train, trained
from models.recommender import Recommender

FALLBACK_ARM = Arm(FALLBACK, "popularity", 1.0)
"""What serves where an arm fails; it is frozen with the arms."""


@dataclass(frozen=True)
class ArmPlan:
    """What launching does for one arm.

    Attributes:
        arm: the arm.
        recipe: what it is trained from.
        artifact: what was trained before from the same recipe, or None where it has to be trained.
        users: users of the data set who would get it.
    """

    arm: Arm
    recipe: Recipe
    artifact: Artifact | None
    users: int


@dataclass(frozen=True)
class LaunchPlan:
    """What launching would do.

    Attributes:
        experiment: the definition.
        arms: in the order of the experiment.
        population: users of the data set.
        power: what lifts its users can show.
    """

    experiment: Experiment
    arms: tuple[ArmPlan, ...]
    population: int
    power: PowerPlan


def compose(
    store: Store,
    *,
    control: str,
    treatment: str,
    settings: Sequence[tuple[str, str, ConfigValue]],
    dataset: str,
    days: int,
    key: str | None = None,
    layer: str = "recommender",
) -> Experiment:
    """Write an experiment of two arms without a file, in the largest free slice of its layer.

    Args:
        store: knows which slices are free and which keys are taken.
        control: recommender of the control.
        treatment: recommender of the treatment.
        settings: (arm, setting, value) that differ from the defaults.
        dataset: what to train on.
        days: planned length.
        key: of the experiment; by default made from the arms, with a number where that is taken.
        layer: where the users come from.

    Raises:
        ExperimentError: where the layer is full, or a setting names no arm.
    """
    names = (control, treatment) if control != treatment else (control, f"{treatment}_b")
    unknown = [arm for arm, _, _ in settings if arm not in names]
    if unknown:
        raise ExperimentError(f"--set names arm '{unknown[0]}'; the arms are {names[0]} and {names[1]}")
    slices = store.free_slices(layer)
    if not slices:
        raise ExperimentError(
            f"layer '{layer}' has no free bucket; stop a running experiment with `abp stop`, or use another --layer"
        )
    arms = tuple(
        Arm(
            name=name,
            recommender=recommender,
            weight=0.5,
            control=name == names[0],
            config={setting: value for arm, setting, value in settings if arm == name},
        )
        for name, recommender in zip(names, (control, treatment), strict=True)
    )
    return Experiment(
        key=key or _free_key(store, f"{names[1]}-vs-{names[0]}".replace("_", "-")),
        data=DataRule(dataset),
        arms=arms,
        layer=layer,
        layer_buckets=max(slices, key=lambda each: (each[1] - each[0], -each[0])),
        days=days,
    )


def plan(store: Store, workshop: Workshop, experiment: Experiment, snap: Snapshot) -> LaunchPlan:
    """Work out what launching would do, without doing it.

    Raises:
        ExperimentError: for a recommender or setting that is unknown.
    """
    placed = experiment.place_all(list(snap.history.users), experiment.ranges())
    recipes = [recipe(snap, arm.recommender, arm.config, arm.seed) for arm in experiment.arms]
    arms = tuple(
        ArmPlan(arm, made, trained(store, workshop, made), int((placed == index).sum()))
        for index, (arm, made) in enumerate(zip(experiment.arms, recipes, strict=True))
    )
    return LaunchPlan(experiment, arms, len(placed), planning.plan(store, experiment, len(placed)))


def launch(
    store: Store,
    workshop: Workshop,
    experiment: Experiment,
    snap: Snapshot,
    *,
    at: datetime,
    on_epoch: Callable[[Arm], OnEpoch] | None = None,
    reason: str | None = None,
) -> Launch:
    """Train what is not trained, freeze salts, weights, artifacts and the fallback's, and start the experiment.

    Launching the same definition again changes nothing and returns the launch that stands.

    Args:
        store: takes the launch.
        workshop: trains.
        experiment: the definition.
        snap: what to train on.
        at: now.
        on_epoch: makes the callback of an arm's training.
        reason: why, for the change log.

    Raises:
        ExperimentError: where an arm is not good enough to serve, or the key or the layer slice is taken.
    """
    standing = _standing(store, experiment)
    if standing is not None:
        _restore_artifacts(store, workshop, standing, snap, at=at, on_epoch=on_epoch)
        return standing
    made = [
        (arm, train(store, workshop, snap, arm, at=at, on_epoch=on_epoch(arm) if on_epoch else None))
        for arm in experiment.arms
    ]
    require_quality(qualities(experiment, made, snap))
    fallback = train(store, workshop, snap, FALLBACK_ARM, at=at)
    starts_at = datetime.combine(experiment.starts_on or at.astimezone(UTC).date(), time(), UTC)
    started = Launch(
        experiment=experiment,
        artifacts={arm.name: artifact.artifact_id for arm, artifact in made},
        state="running",
        traffic=experiment.steps[0].traffic,
        launched_at=at,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(days=experiment.days),
        fallback=fallback.artifact_id,
    )
    store.count_interactions(experiment.data.dataset, least_rating=experiment.data.least_rating)
    store.launch(started, reason=reason)
    return store.experiment(experiment.key)


def server(store: Store, workshop: Workshop, launched: Launch, snap: Snapshot) -> Server:
    """Load the frozen arms of a launched experiment, and its fallback, into a server."""
    recommenders = {arm: load_arm(workshop, artifact_id) for arm, artifact_id in launched.artifacts.items()}
    histories = Histories({user: list(titles) for user, titles in snap.population().histories.items()})
    fallback = _fallback(workshop, launched, snap)
    return Server(launched, recommenders, fallback=fallback, histories=histories, store=store)


def _fallback(workshop: Workshop, launched: Launch, snap: Snapshot) -> Recommender:
    """Load the frozen popularity; for a launch that froze none, or whose files are gone, count it from the data."""
    if launched.fallback is not None and (workshop.artifacts / launched.fallback).is_dir():
        return load_arm(workshop, launched.fallback)
    return popularity_of(snap)


def _standing(store: Store, experiment: Experiment) -> Launch | None:
    """Return the launch of the very same definition, where there is one."""
    return next((each for each in store.experiments() if each.experiment == experiment), None)


def _restore_artifacts(
    store: Store,
    workshop: Workshop,
    standing: Launch,
    snap: Snapshot,
    *,
    at: datetime,
    on_epoch: Callable[[Arm], OnEpoch] | None,
) -> None:
    """Train again the arms whose files are gone; a training is repeatable, so the frozen artifact comes back.

    Raises:
        DataError: where this version's training gives another artifact than the one that was frozen.
    """
    kept = [(arm, standing.artifacts[arm.name]) for arm in standing.experiment.arms]
    kept += [] if standing.fallback is None else [(FALLBACK_ARM, standing.fallback)]
    for arm, frozen in kept:
        if (workshop.artifacts / frozen).is_dir():
            continue
        shown = on_epoch(arm) if on_epoch and arm is not FALLBACK_ARM else None
        made = train(store, workshop, snap, arm, at=at, on_epoch=shown)
        if made.artifact_id != frozen:
            raise DataError(
                f"artifact {frozen} of {arm.name} is gone from {workshop.artifacts}, and this version or machine "
                f"trains {made.artifact_id} instead; put the folder back, or launch under a new key"
            )


def _free_key(store: Store, wanted: str) -> str:
    taken = {launched.experiment.key for launched in store.experiments()}
    numbered = (wanted if number == 1 else f"{wanted}-{number}" for number in range(1, len(taken) + 2))
    return next(key for key in numbered if key not in taken)
