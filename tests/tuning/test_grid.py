"""A grid: every combination, none of them twice."""

from __future__ import annotations

import pytest

from ab_platform.errors import DataError, ExperimentError
from ab_platform.experiment import Arm
from ab_platform.lineage import Recipe
from ab_platform.training import OnEpoch
from ab_platform.tuning.grid import grid, try_all
from ab_platform.tuning.measuring import Bench
from tests.tuning.fake import Fake

ARM = Arm("fake", "fake", 1.0, config={"epochs": 2})


def test_a_grid_has_every_combination() -> None:
    assert grid({"a": [1, 2], "b": ["x", "y"]}) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_trials_done_before_are_not_done_again(bench: Bench) -> None:
    epochs: list[tuple[object, int]] = []

    def on_epoch(made: Recipe) -> OnEpoch:
        return lambda report: epochs.append((made.config["rate"], report.epoch))

    first = list(try_all(bench, ARM, grid({"rate": [0.1, 0.01]}), on_epoch=on_epoch))
    assert epochs == [(0.1, 1), (0.1, 2), (0.01, 1), (0.01, 2)]
    assert first[0].validation_ndcg < first[1].validation_ndcg == max(first[1].curve.values())
    assert list(first[0].curve) == [1, 2]
    assert list(try_all(bench, ARM, grid({"rate": [0.1, 0.01]}), on_epoch=on_epoch)) == first
    assert list(try_all(bench, ARM, grid({"rate": [0.1, 0.01, 0.001]})))[:2] == first
    assert len(Fake.trained) == 3
    assert not list(bench.workshop.checkpoints.iterdir())


def test_a_wrong_setting_is_said_before_the_first_trial(bench: Bench) -> None:
    with pytest.raises(ExperimentError, match=r"rate is -1\.0; it must be above 0"):
        next(try_all(bench, ARM, grid({"rate": [0.1, -1.0]})))
    assert Fake.trained == []


def test_a_trial_that_diverges_ends_the_grid(bench: Bench) -> None:
    trials = try_all(bench, Arm("fake", "fake", 1.0), grid({"rate": [0.1, 0.9]}))
    next(trials)
    with pytest.raises(DataError, match="the loss is nan in epoch 3"):
        next(trials)
