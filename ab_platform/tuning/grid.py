"""Every combination of some values, tried one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from ab_platform.experiment import Arm, ConfigValue
from ab_platform.lineage import Recipe, Trial
from ab_platform.training import OnEpoch, recipe
from ab_platform.tuning.measuring import Bench, forget, measure, measured


def grid(options: Mapping[str, Sequence[ConfigValue]]) -> list[dict[str, ConfigValue]]:
    """Return every combination of the values of some settings."""
    return [dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())]


def try_all(
    bench: Bench,
    arm: Arm,
    settings: Sequence[Mapping[str, ConfigValue]],
    *,
    on_epoch: Callable[[Recipe], OnEpoch] | None = None,
) -> Iterator[Trial]:
    """Try settings of an arm on the validation users; those tried before are not tried again.

    Args:
        bench: all that a trial is made with.
        arm: recommender, seed, and the settings that stay.
        settings: what to try.
        on_epoch: makes the callback of a trial's training.

    Yields:
        The trials, in the order of `settings`.

    Raises:
        ExperimentError: for an unknown recommender or setting, or a value out of range, before the first trial.
        DataError: where a trial diverges, or cannot be trained.
        OutOfMemoryError: where a trial does not fit.
    """
    recipes = [recipe(bench.material, arm.recommender, {**arm.config, **changed}, arm.seed) for changed in settings]
    for made in recipes:
        trial = measured(bench.store, made)
        if trial is None:
            trial = measure(bench, made, on_epoch(made) if on_epoch else None)
            bench.store.record_trial(trial)
            forget(bench.workshop, made)
        yield trial
