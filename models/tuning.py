"""Choosing a recommender's settings on validation users, one trial after another."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from models.config import Config
from models.errors import ModelError
from models.interactions import UserSplit
from models.recommender import FitOptions, FitReport
from models.registry import checked_config, create

_NOTHING_KNOWN: Mapping[str, float] = {}


@dataclass(frozen=True)
class Trial:
    """One configuration and how it did on the validation users.

    Attributes:
        key: canonical JSON of the recommender, its full configuration and the seed.
        config: every setting, defaults included.
        ndcg: NDCG@100 on the validation users, at the best epoch.
        report: of its training; None where the result was known before.
    """

    key: str
    config: Mapping[str, object]
    ndcg: float
    report: FitReport | None


def tune(
    name: str,
    base: Mapping[str, object],
    grid: Sequence[Mapping[str, object]],
    split: UserSplit,
    *,
    options: FitOptions,
    known: Mapping[str, float] = _NOTHING_KNOWN,
    on_trial: Callable[[Trial], None] | None = None,
) -> tuple[Trial, ...]:
    """Train every configuration of a grid that has no known result; return all trials, the best first.

    Args:
        name: of the recommender.
        base: settings that all trials share.
        grid: the settings that differ, one mapping a trial.
        split: training and validation users; the test users are not looked at.
        options: how to train; `checkpoint` names a folder, where each trial keeps a file of its own.
        known: validation NDCG@100 of earlier trials by key.
        on_trial: called after each trial that was trained.

    Raises:
        ModelError: a setting is unknown or out of range, which is found before the first trial; or there is no
            validation user.
    """
    if not split.validation.users:
        raise ModelError("there are no validation users to choose settings on; split off at least one")
    configs = [checked_config(name, {**base, **point}) for point in grid]
    trials = [_trial(name, config, split, options, known, on_trial) for config in configs]
    return tuple(sorted(trials, key=lambda trial: -trial.ndcg))


def trial_key(name: str, config: Config, seed: int) -> str:
    """Return the canonical JSON of a trial, equal for equal trainings on the same data."""
    said = {"recommender": name, "seed": seed, "config": config.as_mapping()}
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def _trial(
    name: str,
    config: Config,
    split: UserSplit,
    options: FitOptions,
    known: Mapping[str, float],
    on_trial: Callable[[Trial], None] | None,
) -> Trial:
    key = trial_key(name, config, options.seed)
    if key in known:
        return Trial(key, config.as_mapping(), known[key], None)
    recommender = create(name, config.as_mapping())
    report = recommender.fit(split.train, split.validation, _own_checkpoint(options, key))
    if report.ndcg is None:
        raise ModelError(f"{name} reports no validation NDCG@100; a recommender must evaluate the users it is given")
    trial = Trial(key, config.as_mapping(), report.ndcg, report)
    if on_trial is not None:
        on_trial(trial)
    return trial


def _own_checkpoint(options: FitOptions, key: str) -> FitOptions:
    if options.checkpoint is None:
        return options
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    return replace(options, checkpoint=options.checkpoint / f"{name}.safetensors")
