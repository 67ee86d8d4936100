"""Counting latent dimensions in use: once a training, and without a second one for the evaluation."""

from __future__ import annotations

import pytest

from ab_platform.errors import DataError
from ab_platform.offline.activity import Active, count_active
from ab_platform.offline.arms import OfflineArm, Run, runs
from ab_platform.offline.evaluating import Setup, evaluate_runs
from ab_platform.offline.protocol import OfflineSplit
from ab_platform.training import OnEpoch

TINY = {"epochs": 6, "hidden": 16, "latent": 8, "batch": 32, "anneal_epochs": 1, "patience": 6}


def arm(beta: float) -> OfflineArm:
    return OfflineArm(f"beta {beta:g}", "multi_vae", {**TINY, "beta_max": beta})


def test_a_heavy_kl_term_leaves_no_dimension_in_use_and_none_leaves_all(setup: Setup, offline: OfflineSplit) -> None:
    free, collapsed = count_active(setup, offline, runs([arm(0.0), arm(1_000.0)], [0, 1]))
    assert free == Active("beta 0", (8, 8), 8)
    assert collapsed == Active("beta 1000", (0, 0), 8)
    assert collapsed.words == "beta 1000: 0, 0 of 8 latent dimensions in use"


def test_a_training_is_counted_once_and_its_evaluation_does_not_train_it_again(
    setup: Setup, offline: OfflineSplit
) -> None:
    epochs: list[int] = []
    told: list[tuple[int, int]] = []

    def on_run(run: Run) -> OnEpoch:
        return lambda report: epochs.append(report.epoch)

    planned = runs([arm(0.2)], [0, 1])
    first = count_active(
        setup, offline, planned, on_run=on_run, on_done=lambda run, done, total: told.append((done, total))
    )
    assert told == [(1, 2), (2, 2)]
    assert epochs == [1, 2, 3, 4, 5, 6] * 2
    evaluate_runs(setup, offline, planned, on_run=on_run)
    assert count_active(setup, offline, planned, on_run=on_run) == first
    assert len(epochs) == 12
    assert not list(setup.workshop.checkpoints.iterdir())


def test_an_arm_without_a_latent_space_says_so(setup: Setup, offline: OfflineSplit) -> None:
    with pytest.raises(DataError, match="popularity has no posterior"):
        count_active(setup, offline, runs([OfflineArm("popularity", "popularity", {})], [0]))
