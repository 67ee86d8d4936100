"""The arms that an experiment froze, beside those of an offline comparison: whether it is about them at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ab_platform.lineage import Recipe
from ab_platform.offline.results import ArmScores, Comparison

NO_SETTING = "no such setting"
"""What an arm froze of a setting that its version of the code had not."""


@dataclass(frozen=True)
class Setting:
    """A setting in which a compared arm differs from the frozen one.

    Attributes:
        name: of the setting.
        compared: what the comparison had.
        frozen: what the experiment froze.
    """

    name: str
    compared: object
    frozen: object


def differing(arm: ArmScores, recipe: Recipe) -> tuple[Setting, ...]:
    """Return the settings of a compared arm that the frozen one has not; seeds and data aside."""
    settings = arm.settings or arm.config
    return tuple(
        Setting(name, value, recipe.config.get(name, NO_SETTING))
        for name, value in settings.items()
        if recipe.config.get(name, NO_SETTING) != value
    )


def counterpart(recipe: Recipe, found: Comparison) -> ArmScores | None:
    """Return the arm of a comparison that is of the same recommender, the one with the nearest settings."""
    same = [arm for arm in found.arms if arm.recommender == recipe.recommender]
    return min(same, key=lambda arm: len(differing(arm, recipe)), default=None)


def counterparts(recipes: Mapping[str, Recipe], found: Comparison) -> dict[str, ArmScores]:
    """Return the counterpart of each frozen arm that has one, by the arm's name."""
    pairs = {name: counterpart(recipe, found) for name, recipe in recipes.items()}
    return {name: arm for name, arm in pairs.items() if arm is not None}


def cautions(recipes: Mapping[str, Recipe], found: Comparison) -> tuple[str, ...]:
    """Say in which ways a comparison is not about the arms that an experiment serves; nothing where it is."""
    return tuple(_cautions(recipes, found))


def _cautions(recipes: Mapping[str, Recipe], found: Comparison) -> Iterable[str]:
    datasets = {recipe.dataset for recipe in recipes.values()}
    if datasets and found.split.dataset not in datasets:
        learned = ", ".join(sorted(datasets))
        yield f"It was made on {found.split.dataset}; the arms of this experiment learned from {learned}."
    pairs = counterparts(recipes, found)
    missing = [name for name in recipes if name not in pairs]
    if missing:
        yield f"It has no arm like {' or '.join(missing)}."
    for name, arm in pairs.items():
        settings = differing(arm, recipes[name])
        told = ", ".join(f"{each.name} {each.compared} (frozen: {each.frozen})" for each in settings)
        if told:
            yield f"Its {arm.label} is not quite the frozen {name}: {told}."
