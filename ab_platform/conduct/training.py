"""The arms that are wanted of an experiment, one by one, so that workers can train them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from ab_platform.errors import ExperimentError, nearest
from ab_platform.experiment import Arm, Experiment
from ab_platform.experiment_file import dump, parse
from ab_platform.lineage import Artifact
from ab_platform.quality import Quality, qualities, require_quality
from ab_platform.storage.store import Store
from ab_platform.training import Workshop, check_arms, snapshot, train, trained
from ab_platform.training import recipe as recipe_of
from ab_platform.training_command import Request, told, train_in_processes
from models.registry import default_config


@dataclass(frozen=True)
class Wanted:
    """One arm to train, in plain values that a queue can carry.

    Attributes:
        definition: text of its experiment file.
        arm: its name.
        seed: of the training; the arm's own where None.
        epochs: at most so many, of an arm that learns in epochs; the arm's own where None.
    """

    definition: str
    arm: str
    seed: int | None = None
    epochs: int | None = None

    @property
    def label(self) -> str:
        """Return it for people: `pia`, or `pia, seed 3` where that is not the arm's own."""
        return self.arm if self.seed is None else f"{self.arm}, seed {self.seed}"


FIELDS = tuple(field.name for field in fields(Wanted))


def wanted(
    definition: str, arms: Sequence[str] = (), *, seeds: Sequence[int] = (), epochs: int | None = None
) -> tuple[Wanted, ...]:
    """List the arms to train.

    Args:
        definition: text of an experiment file.
        arms: names; all of the experiment where none is given.
        seeds: each arm is trained with each of them; with its own where none is given.
        epochs: at most so many; the arm's own where None.

    Raises:
        ExperimentError: for a broken definition or an arm that it does not have.
    """
    experiment = parse(definition, check=check_arms)
    chosen = tuple(arms) or tuple(arm.name for arm in experiment.arms)
    found = tuple(Wanted(definition, arm, seed, epochs) for arm in chosen for seed in (*seeds,) or (None,))
    for each in found:
        _arm_of(experiment, each)
    return found


def stale(store: Store, workshop: Workshop) -> tuple[Wanted, ...]:
    """List the arms of running experiments that today's data would train anew.

    A running experiment keeps the arms that it froze: what is trained here is for the next one.
    """
    found = []
    for launch in store.experiments():
        experiment = launch.experiment
        if launch.state != "running" or store.dataset(experiment.data.dataset) is None:
            continue
        snap = snapshot(store, experiment.data)
        recipes = [(arm, recipe_of(snap, arm.recommender, arm.config, arm.seed)) for arm in experiment.arms]
        found += [Wanted(dump(experiment), arm.name) for arm, made in recipes if trained(store, workshop, made) is None]
    return tuple(found)


def train_wanted(
    store: Store,
    workshop: Workshop,
    each: Wanted,
    *,
    at: datetime,
    processes: int = 1,
    on_line: Callable[[str], None] | None = None,
) -> Artifact:
    """Train one arm, unless the same recipe was trained before; go on where a training was cut short.

    Args:
        store: registers the artifact.
        workshop: where artifacts and checkpoints lie.
        each: what is wanted.
        at: now.
        processes: that share the training, each on a GPU of its own.
        on_line: called with a line for each epoch.

    Raises:
        ExperimentError: for a broken definition.
        OutOfMemoryError: where it does not fit.
    """
    experiment = parse(each.definition, check=check_arms)
    arm = _arm_of(experiment, each)
    say = on_line or (lambda line: None)
    if processes > 1:
        request = Request(store.url, workshop, experiment.data, arm, at)
        return store.artifact(train_in_processes(request, processes=processes, on_line=say))
    snap = snapshot(store, experiment.data)
    return train(store, workshop, snap, arm, at=at, on_epoch=lambda report: say(told(arm, report)))


def require(store: Store, each: Wanted, artifact_id: str) -> Quality:
    """Hold a trained arm to the quality that its experiment requires.

    Raises:
        ExperimentError: where it may not serve, with both figures.
        NotFoundError: for an artifact that is not registered.
    """
    experiment = parse(each.definition)
    arm = _arm_of(experiment, each)
    [found] = qualities(experiment, [(arm, store.artifact(artifact_id))], snapshot(store, experiment.data))
    require_quality([found])
    return found


def _arm_of(experiment: Experiment, each: Wanted) -> Arm:
    """Return the arm as it is wanted.

    Raises:
        ExperimentError: for an arm that the experiment does not have.
    """
    arm = next((arm for arm in experiment.arms if arm.name == each.arm), None)
    if arm is None:
        known = nearest(each.arm, [arm.name for arm in experiment.arms])
        raise ExperimentError(f"arm '{each.arm}' is not in {experiment.key}; {known}", ("arms",))
    config = dict(arm.config)
    if each.epochs is not None and "epochs" in default_config(arm.recommender):
        config["epochs"] = each.epochs
    changed = replace(arm, seed=arm.seed if each.seed is None else each.seed, config=config)
    check_arms(replace(experiment, arms=tuple(changed if other is arm else other for other in experiment.arms)))
    return changed
