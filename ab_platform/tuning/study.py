"""A study: what a search holds fixed, where it looks and in which order; two searches of one study share its trials."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

from ab_platform.errors import ExperimentError, nearest
from ab_platform.experiment import Arm, ConfigValue
from ab_platform.lineage import Recipe, StudyTrial
from ab_platform.training import Learned, recipe
from models.config import Search
from models.errors import ModelError
from models.registry import default_config, search_space

DIGITS = 3  # of a value that is tried; a finer one means nothing, and nobody could type it

Settings = Mapping[str, float]


@dataclass(frozen=True)
class Range:
    """Where a search looks for a setting.

    Attributes:
        low: the least value.
        high: the greatest value, above `low`.
        log: whether values are spread evenly by their logarithm.
        whole: whether the setting is a whole number.
    """

    low: float
    high: float
    log: bool
    whole: bool

    def inside(self, value: float) -> float:
        """Return the value of the range that is nearest."""
        return min(max(value, self.low), self.high)

    def rounded(self, value: float) -> float:
        """Return a value of the range to a few digits, or as a whole number where the setting is one."""
        return self.inside(round(value) if self.whole else float(f"{value:.{DIGITS}g}"))


@dataclass(frozen=True)
class Study:
    """What decides the trials of a search, but for how many there are.

    Attributes:
        recommender: name in `models.registry`.
        dataset: name of the data set.
        data_hash: content hash of what is trained on and judged by.
        code_version: hash of the recommenders' source.
        seed: of every training, and of what is tried.
        fixed: the settings that stay, all of them.
        ranges: where the others are looked for.
        first: what the first trial takes for them: the defaults, or what is nearest to them in the ranges.
    """

    recommender: str
    dataset: str
    data_hash: str
    code_version: str
    seed: int
    fixed: Mapping[str, object]
    ranges: Mapping[str, Range]
    first: Settings

    @property
    def key(self) -> str:
        """Return the sha256 of the study, 16 hex digits."""
        ranges = {name: asdict(each) for name, each in self.ranges.items()}
        parts = [self.recommender, self.data_hash, self.code_version, self.seed, dict(self.fixed), ranges]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def recipe(self, settings: Settings) -> Recipe:
        """Return what a trial of some settings is trained by."""
        config = {**self.fixed, **settings}
        return Recipe(self.recommender, config, self.seed, self.dataset, self.data_hash, self.code_version)

    def settings(self, trial: StudyTrial) -> dict[str, float]:
        """Return what a trial of the study took for the settings that are looked for."""
        return {name: _number(trial.recipe.config[name]) for name in self.ranges}


def capped(arm: Arm, epochs: int | None) -> Arm:
    """Let an arm that learns in epochs take so many at most, or its own where None.

    Raises:
        ExperimentError: for an unknown recommender.
    """
    try:
        known = default_config(arm.recommender)
    except ModelError as error:
        raise ExperimentError(str(error)) from error
    return arm if epochs is None or "epochs" not in known else replace(arm, config={**arm.config, "epochs": epochs})


def study_of(learned: Learned, arm: Arm, searched: Mapping[str, Search] = MappingProxyType({})) -> Study:
    """Lay out the search for an arm's settings.

    Args:
        learned: what is trained on and judged by.
        arm: recommender, seed, and the settings that stay.
        searched: ranges that are added to the arm's own, or replace them.

    Raises:
        ExperimentError: for an unknown recommender or setting, a setting that is both fixed and looked for or is not a
            number, and a range that is empty or reaches out of what the setting may be.
    """
    defaults = recipe(learned, arm.recommender, {}, arm.seed).config
    own = {name: space for name, space in search_space(arm.recommender).items() if name not in arm.config}
    spaces = {**own, **searched}
    ranges = {name: _range(name, space, defaults=defaults, fixed=arm.config) for name, space in spaces.items()}
    whole = recipe(learned, arm.recommender, arm.config, arm.seed)
    for name, end in [(name, end) for name, each in ranges.items() for end in (each.low, each.high)]:
        recipe(learned, arm.recommender, {**arm.config, name: end}, arm.seed)  # it says what is out of range
    return Study(
        recommender=arm.recommender,
        dataset=whole.dataset,
        data_hash=whole.data_hash,
        code_version=whole.code_version,
        seed=arm.seed,
        fixed={name: value for name, value in whole.config.items() if name not in ranges},
        ranges=ranges,
        first={name: each.inside(_number(defaults[name])) for name, each in ranges.items()},
    )


def changed(made: Recipe) -> dict[str, object]:
    """Return the settings of a recipe that differ from the defaults, in the order that the recommender has them."""
    defaults = default_config(made.recommender)
    return {name: made.config[name] for name, value in defaults.items() if made.config[name] != value}


def best_first(trials: Iterable[StudyTrial]) -> list[StudyTrial]:
    """Sort trials: complete, pruned, under way, failed, and within these by the best NDCG@100 that was seen."""
    order = ("complete", "pruned", "running", "failed")
    return sorted(trials, key=lambda trial: (order.index(trial.state), -(trial.best_so_far or 0.0), trial.number))


def _range(name: str, space: Search, *, defaults: Mapping[str, object], fixed: Mapping[str, ConfigValue]) -> Range:
    """Return the range of a setting.

    Raises:
        ExperimentError: as `study_of`, but for what the setting may be.
    """
    if name not in defaults:
        raise ExperimentError(f"the setting '{name}' is unknown; {nearest(name, defaults)}")
    if name in fixed:
        raise ExperimentError(f"{name} is both set to {fixed[name]} and looked for; leave one of the two out")
    if not _is_number(defaults[name]):
        raise ExperimentError(f"{name} is {defaults[name]!r}, not a number; compare its values by --try {name}=...")
    whole = isinstance(defaults[name], int)
    low, high = (math.ceil(space.low), math.floor(space.high)) if whole else (float(space.low), float(space.high))
    if not low < high or (space.log and low <= 0):
        above = ", from above 0 on, since it is spread by logarithm" if space.log else ""
        raise ExperimentError(f"the range of {name} is {space.low:g} to {space.high:g}; it must rise{above}")
    return Range(low, high, space.log, whole)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value
