"""What an offline comparison found, ready to be printed: plain values, without the scores of single users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ab_platform.statistics.paired import PairedDifference

Verdict = Literal["better", "worse", "no difference shown"]

ACCURACY: Mapping[str, str] = {"recall_20": "Recall@20", "recall_50": "Recall@50", "ndcg_100": "NDCG@100"}
"""Metrics that arms are compared on, user by user."""

OTHERS: Mapping[str, str] = {"coverage_20": "Coverage@20", "novelty_20": "Novelty@20"}
"""Metrics that are only shown: more of them is not better."""

MAIN = "ndcg_100"
"""Whose p-values are corrected for the number of arms, and which decides on better and worse."""

BY_GROUP = ("recall_20", "ndcg_100")
"""Metrics that are shown by the number of a user's interactions, as in Table 3 of the paper."""


@dataclass(frozen=True)
class SplitFacts:
    """What the arms were trained and judged on.

    Attributes:
        dataset: its name.
        origin: how the split came about.
        data_hash: content hash of the split.
        titles: in the catalogue that is ranked.
        interactions: that were trained on.
        training_users: who were trained on.
        validation_users: who chose epochs.
        test_users: who judge.
    """

    dataset: str
    origin: str
    data_hash: str
    titles: int
    interactions: int
    training_users: int
    validation_users: int
    test_users: int


@dataclass(frozen=True)
class Figure:
    """One metric of one arm.

    Attributes:
        metric: its name.
        mean: over users, then over seeds.
        spread: standard deviation of the seeds' means; None with one seed.
        by_seed: the mean over users of each seed.
    """

    metric: str
    mean: float
    spread: float | None
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class ArmScores:
    """One arm.

    Attributes:
        label: what it is called.
        recommender: name in the registry.
        config: settings that differ from the defaults.
        seeds: that it was trained from; none where seeds have no effect.
        figures: its metrics.
        best_epochs: of each training.
        seconds: of training, a mean over trainings.
        validation_ndcg: a mean over trainings.
        settings: all of them; empty for comparisons of versions that did not keep them.
        curves: NDCG@100 on the validation users after each epoch, of each training; empty where it was not kept.
    """

    label: str
    recommender: str
    config: Mapping[str, object]
    seeds: tuple[int, ...]
    figures: tuple[Figure, ...]
    best_epochs: tuple[int, ...]
    seconds: float
    validation_ndcg: float
    settings: Mapping[str, object] = field(default_factory=dict)
    curves: tuple[tuple[float, ...], ...] = ()

    def figure(self, metric: str) -> Figure:
        """Return one metric."""
        return next(each for each in self.figures if each.metric == metric)


@dataclass(frozen=True)
class Difference:
    """One arm against the control on one metric, over all test users.

    Attributes:
        arm: its label.
        metric: the metric's name.
        paired: the difference with its intervals, users and seeds paired.
        adjusted_p_value: Holm over the arms, for the main metric; None for the others.
        verdict: by the adjusted p-value where there is one, else by the interval alone.
    """

    arm: str
    metric: str
    paired: PairedDifference
    adjusted_p_value: float | None
    verdict: Verdict


@dataclass(frozen=True)
class GroupScore:
    """One arm among the test users with so many interactions.

    Attributes:
        group: the number of interactions, shown and to be found, such as `5-10`.
        users: test users in it.
        arm: its label.
        metric: the metric's name.
        mean: over these users and all seeds.
        paired: against the control; None for the control itself.
    """

    group: str
    users: int
    arm: str
    metric: str
    mean: float
    paired: PairedDifference | None


@dataclass(frozen=True)
class Comparison:
    """Arms compared on one split.

    Attributes:
        split: what they were trained and judged on.
        control: label of the arm that the others are compared with.
        confidence: of the intervals.
        arms: in the order they were given.
        differences: of every other arm, by arm, then metric.
        groups: by metric, then group, then arm; groups without users are left out.
    """

    split: SplitFacts
    control: str
    confidence: float
    arms: tuple[ArmScores, ...]
    differences: tuple[Difference, ...]
    groups: tuple[GroupScore, ...]

    def arm(self, label: str) -> ArmScores:
        """Return one arm."""
        return next(each for each in self.arms if each.label == label)

    def of_metric(self, metric: str) -> tuple[Difference, ...]:
        """Return every arm's difference on one metric."""
        return tuple(each for each in self.differences if each.metric == metric)
