"""The arms of an offline comparison: what is trained under which label, and from which seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ab_platform.errors import DataError, ExperimentError, nearest
from ab_platform.experiment import ConfigValue
from ab_platform.lineage import Recipe
from ab_platform.offline.protocol import OfflineSplit
from ab_platform.storage.store import Store
from ab_platform.training import recipe
from models.code_version import code_version
from models.errors import ModelError
from models.registry import checked_config, create, search_space

USUAL_CONTROL = "multi_vae"
NO_SEED = 0
"""The seed that stands in a recipe where none makes a difference."""


@dataclass(frozen=True)
class OfflineArm:
    """A recommender with its settings.

    Attributes:
        label: what it is called in the comparison.
        recommender: name in `models.registry`.
        config: settings that differ from the defaults.
    """

    label: str
    recommender: str
    config: Mapping[str, ConfigValue]

    @property
    def deterministic(self) -> bool:
        """Whether every seed gives the same arm."""
        return create(self.recommender, self.config).deterministic

    def recipe(self, offline: OfflineSplit, seed: int) -> Recipe:
        """Write down all that one training depends on."""
        return recipe(offline, self.recommender, self.config, seed)


@dataclass(frozen=True)
class Run:
    """One training of an arm."""

    arm: OfflineArm
    seed: int


def check(arms: Sequence[OfflineArm]) -> None:
    """Check that there are arms, that their recommenders and settings exist, and that their labels differ.

    Raises:
        ExperimentError: naming the arm.
    """
    if not arms:
        raise ExperimentError("there is no arm to evaluate; name some, such as: abp evaluate popularity multi_vae pia")
    labels = [arm.label for arm in arms]
    for arm in arms:
        if labels.count(arm.label) > 1:
            raise ExperimentError(
                f"two arms are called '{arm.label}'; give one of them a label: other={arm.recommender}:setting=value"
            )
        try:
            checked_config(arm.recommender, arm.config)
        except ModelError as error:
            raise ExperimentError(f"arm {arm.label}: {error}") from error


def runs(arms: Iterable[OfflineArm], seeds: Sequence[int]) -> tuple[Run, ...]:
    """Return every training: each arm from each seed, an arm on which seeds have no effect once.

    Raises:
        ExperimentError: there is no seed, or one is given twice or is negative.
    """
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ExperimentError(
            f"the seeds are {', '.join(map(str, seeds)) or 'none'}; give different whole numbers from 0: --seeds 1,2,3"
        )
    return tuple(Run(arm, seed) for arm in arms for seed in ([NO_SEED] if arm.deterministic else seeds))


def control_of(arms: Sequence[OfflineArm], against: str | None) -> str:
    """Return the label of the control: the one asked for, else Multi-VAE where it is there, else the first.

    Raises:
        ExperimentError: no arm is called what was asked for.
    """
    labels = [arm.label for arm in arms]
    if against is None:
        return USUAL_CONTROL if USUAL_CONTROL in labels else labels[0]
    if against not in labels:
        raise ExperimentError(f"no arm is called '{against}' to compare the others with; {nearest(against, labels)}")
    return against


def tuned(store: Store, offline: OfflineSplit, arm: OfflineArm) -> OfflineArm:
    """Give an arm the settings of its best trial on this split; settings it was given stay.

    Raises:
        DataError: there is no trial, and the recommender has settings that tuning tries.
    """
    trials = store.trials(arm.recommender, offline.data_hash, code_version(arm.recommender))
    best = max(trials, key=lambda trial: trial.validation_ndcg, default=None)
    if best is not None:
        return replace(arm, config={**settable(best.recipe.config), **arm.config})
    if not search_space(arm.recommender):
        return arm
    where = f"--dataset {offline.dataset} --protocol offline" if offline.folder is None else f"--from {offline.folder}"
    raise DataError(
        f"{arm.recommender} has no trial on this split of {offline.dataset} with this version of the code; run "
        f"`abp tune {arm.recommender} {where}` first, or leave --tuned out"
    )


def settable(config: Mapping[str, object]) -> dict[str, ConfigValue]:
    """Return the settings of a recipe as an arm takes them."""
    return {name: value for name, value in config.items() if isinstance(value, ConfigValue)}
