"""From the scores of single users to what differs between arms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ab_platform.experiment import ConfigValue
from ab_platform.offline.arms import OfflineArm, Run, check, control_of, runs
from ab_platform.offline.evaluating import OnDone, OnRun, Setup, evaluate_runs
from ab_platform.offline.evaluation import PER_USER, Evaluation
from ab_platform.offline.protocol import OfflineSplit
from ab_platform.offline.results import (
    ACCURACY,
    BY_GROUP,
    MAIN,
    OTHERS,
    ArmScores,
    Comparison,
    Difference,
    Figure,
    GroupScore,
    SplitFacts,
    Verdict,
)
from ab_platform.statistics.multiplicity import adjust
from ab_platform.statistics.paired import PairedDifference, paired
from ab_platform.storage.segments import INTERACTION_GROUPS, MANY_INTERACTIONS
from models.registry import default_config

CONFIDENCE = 0.95
GROUPS = (*(name for _, name in INTERACTION_GROUPS), MANY_INTERACTIONS)


def compare_arms(
    setup: Setup,
    offline: OfflineSplit,
    arms: Sequence[OfflineArm],
    *,
    seeds: Sequence[int],
    against: str | None = None,
    confidence: float = CONFIDENCE,
    on_run: OnRun | None = None,
    on_done: OnDone | None = None,
) -> Comparison:
    """Train and judge what is not done yet, and compare every arm with the control.

    Args:
        setup: where and how arms are trained and judged.
        offline: on what.
        arms: what is compared.
        seeds: that each arm is trained from, but for arms on which they have no effect.
        against: label of the control; by default Multi-VAE where it is there, else the first arm.
        confidence: of the intervals.
        on_run: makes the callback of a training's epochs.
        on_done: told of each finished training.

    Raises:
        ExperimentError: an arm, a setting, a seed or the control is not as required.
        DataError: a training diverges, or a score is not finite.
        OutOfMemoryError: a training does not fit.
    """
    check(arms)
    control, planned = control_of(arms, against), runs(arms, seeds)
    found = evaluate_runs(setup, offline, planned, on_run=on_run, on_done=on_done)
    return compare(offline, planned, found, control=control, confidence=confidence)


def compare(
    offline: OfflineSplit,
    planned: Sequence[Run],
    found: Sequence[Evaluation],
    *,
    control: str,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Compare arms by what their trainings came to.

    Args:
        offline: what they were trained and judged on.
        planned: every training.
        found: what each came to, in the same order.
        control: label of the arm that the others are compared with.
        confidence: of the intervals.
    """
    judged = _by_arm(planned, found)
    return Comparison(
        split=facts(offline),
        control=control,
        confidence=confidence,
        arms=tuple(map(_scores, judged.values())),
        differences=tuple(_differences(judged, control, confidence)),
        groups=tuple(_groups(judged, control, confidence, group_of(offline.interactions))),
    )


def facts(offline: OfflineSplit) -> SplitFacts:
    """Count what a split holds."""
    parts = offline.split
    return SplitFacts(
        dataset=offline.dataset,
        origin=offline.origin,
        data_hash=offline.data_hash,
        titles=len(parts.train.items),
        interactions=int(parts.train.matrix.nnz),
        training_users=len(parts.train.users),
        validation_users=len(parts.validation.users),
        test_users=len(parts.test.users),
    )


def group_of(interactions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place in `GROUPS` of users with so many interactions each."""
    ends = np.array([end for end, _ in INTERACTION_GROUPS])
    return np.searchsorted(ends, interactions, side="right")


@dataclass(frozen=True, eq=False)
class _Judged:
    """All trainings of one arm, each metric (seeds, users)."""

    arm: OfflineArm
    seeds: tuple[int, ...]
    trainings: tuple[Evaluation, ...]
    per_user: Mapping[str, NDArray[np.float64]]


def _by_arm(planned: Sequence[Run], found: Sequence[Evaluation]) -> dict[str, _Judged]:
    judged: dict[str, _Judged] = {}
    for label in dict.fromkeys(run.arm.label for run in planned):
        own = [(run, each) for run, each in zip(planned, found, strict=True) if run.arm.label == label]
        trainings = tuple(each for _, each in own)
        per_user = {metric: np.stack([each.per_user[metric] for each in trainings]) for metric in PER_USER}
        arm = own[0][0].arm
        judged[label] = _Judged(arm, tuple(run.seed for run, _ in own), trainings, per_user)
    return judged


def _scores(judged: _Judged) -> ArmScores:
    by_seed = {metric: values.mean(axis=1) for metric, values in judged.per_user.items()}
    by_seed["coverage_20"] = np.array([each.coverage_20 for each in judged.trainings])
    trainings = [each.training for each in judged.trainings]
    return ArmScores(
        label=judged.arm.label,
        recommender=judged.arm.recommender,
        config=_changed(judged.arm),
        seeds=() if judged.arm.deterministic else judged.seeds,
        figures=tuple(_figure(metric, by_seed[metric]) for metric in (*ACCURACY, *OTHERS)),
        best_epochs=tuple(each.best_epoch for each in trainings),
        seconds=float(np.mean([each.seconds for each in trainings])),
        validation_ndcg=float(np.mean([each.validation_ndcg for each in trainings])),
        settings={**default_config(judged.arm.recommender), **judged.arm.config},
        curves=tuple(each.curve for each in trainings),
    )


def _changed(arm: OfflineArm) -> dict[str, ConfigValue]:
    """Return the settings that differ from the defaults; tuning gives those that do not too."""
    defaults = default_config(arm.recommender)
    return {name: value for name, value in arm.config.items() if value != defaults[name]}


def _figure(metric: str, by_seed: NDArray[np.float64]) -> Figure:
    spread = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None
    return Figure(metric, float(by_seed.mean()), spread, tuple(by_seed.tolist()))


def _differences(judged: Mapping[str, _Judged], control: str, confidence: float) -> Iterator[Difference]:
    others = [label for label in judged if label != control]
    main = [_paired(judged, control, label, MAIN, confidence).p_value for label in others]
    family = adjust(main, alpha=1.0 - confidence, method="holm")
    for label, adjusted in zip(others, family, strict=True):
        for metric in ACCURACY:
            found = _paired(judged, control, label, metric, confidence)
            p_value = adjusted.p_value if metric == MAIN else None
            decides = p_value if metric == MAIN else found.p_value
            yield Difference(label, metric, found, p_value, _verdict(found, decides, confidence))


def _paired(
    judged: Mapping[str, _Judged], control: str, label: str, metric: str, confidence: float
) -> PairedDifference:
    return paired(judged[control].per_user[metric], judged[label].per_user[metric], confidence=confidence)


def _verdict(found: PairedDifference, p_value: float | None, confidence: float) -> Verdict:
    if p_value is None or p_value >= 1.0 - confidence:
        return "no difference shown"
    return "better" if found.difference > 0 else "worse"


def _groups(
    judged: Mapping[str, _Judged], control: str, confidence: float, places: NDArray[np.int64]
) -> Iterator[GroupScore]:
    for metric in BY_GROUP:
        for place, group in enumerate(GROUPS):
            inside = places == place
            users = int(inside.sum())
            for label, each in judged.items() if users else ():
                own, other = (one.per_user[metric][:, inside] for one in (each, judged[control]))
                found = None if label == control else paired(other, own, confidence=confidence)
                yield GroupScore(group, users, label, metric, float(own.mean()), found)
