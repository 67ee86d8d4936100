"""Arms are trained and judged once, whatever interrupts it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ab_platform.errors import DataError
from ab_platform.offline import evaluation
from ab_platform.offline.arms import OfflineArm, Run
from ab_platform.offline.evaluating import Setup, evaluate_runs
from ab_platform.offline.evaluation import PER_USER
from ab_platform.offline.protocol import OfflineSplit
from models.ranking import evaluate
from models.recommender import EpochReport, FitOptions
from models.registry import create
from tests.offline.fakes import Noisy

ARM = OfflineArm("mine", "noisy", {"noise": 0.2})
RUNS = (Run(ARM, 1), Run(ARM, 2), Run(OfflineArm("steady", "steady", {}), 0))


def seeds_fitted() -> list[int]:
    return [options.seed for options in Noisy.fitted]


def test_an_evaluation_is_that_of_the_trained_arm_on_the_test_users(setup: Setup, offline: OfflineSplit) -> None:
    [found] = evaluate_runs(setup, offline, RUNS[:1])
    arm, parts = create("noisy", {"noise": 0.2}), offline.split
    report = arm.fit(parts.train, parts.validation, FitOptions(seed=1))
    scores = evaluate(arm, parts.test, train=parts.train)
    for name in PER_USER:
        np.testing.assert_array_equal(found.per_user[name], getattr(scores, name))
    assert found.coverage_20 == scores.coverage_20
    assert (found.training.best_epoch, found.training.validation_ndcg) == (2, report.ndcg)
    assert found.training.logged == {"loss": 0.5}
    assert found.recipe.seed == 1


def test_what_was_evaluated_is_read_and_not_trained_again(setup: Setup, offline: OfflineSplit) -> None:
    first = evaluate_runs(setup, offline, RUNS)
    assert seeds_fitted() == [1, 2, 0]
    told: list[tuple[str, int, int]] = []
    again = evaluate_runs(
        setup, offline, RUNS, on_done=lambda run, done, total: told.append((run.arm.label, done, total))
    )
    assert seeds_fitted() == [1, 2, 0]
    assert told == [("mine", 1, 3), ("mine", 2, 3), ("steady", 3, 3)]
    for one, other in zip(first, again, strict=True):
        assert (one.recipe, one.training, one.coverage_20) == (other.recipe, other.training, other.coverage_20)
        for name in PER_USER:
            np.testing.assert_array_equal(one.per_user[name], other.per_user[name])


def test_an_interrupted_comparison_goes_on_with_what_is_left(setup: Setup, offline: OfflineSplit) -> None:
    def interrupted(run: Run) -> object:
        def on_epoch(report: EpochReport) -> None:
            if run.seed == 2:
                raise KeyboardInterrupt

        return on_epoch

    with pytest.raises(KeyboardInterrupt):
        evaluate_runs(setup, offline, RUNS, on_run=interrupted)  # type: ignore[arg-type]
    assert seeds_fitted() == [1, 2]
    evaluate_runs(setup, offline, RUNS)
    assert seeds_fitted() == [1, 2, 2, 0]


def test_a_training_has_its_checkpoint_until_it_is_judged(setup: Setup, offline: OfflineSplit) -> None:
    checkpoint = setup.workshop.checkpoints / ARM.recipe(offline, 1).recipe_hash
    setup.workshop.checkpoints.mkdir()
    checkpoint.write_bytes(b"as far as it came")
    evaluate_runs(setup, offline, RUNS[:1])
    assert Noisy.fitted[0].checkpoint == checkpoint
    assert not checkpoint.exists()


def test_another_setting_seed_or_split_is_another_evaluation(setup: Setup, offline: OfflineSplit) -> None:
    other = replace(ARM, config={"noise": 0.3})
    evaluate_runs(setup, offline, [Run(ARM, 1), Run(other, 1), Run(ARM, 2)])
    evaluate_runs(setup, replace(offline, data_hash="other"), [Run(ARM, 1)])
    assert len(list(setup.evaluations.iterdir())) == len(Noisy.fitted) == 4


def test_a_label_makes_no_other_evaluation(setup: Setup, offline: OfflineSplit) -> None:
    evaluate_runs(setup, offline, [Run(ARM, 1)])
    evaluate_runs(setup, offline, [Run(replace(ARM, label="renamed"), 1)])
    assert len(Noisy.fitted) == 1


def test_several_processes_come_to_the_same(setup: Setup, offline: OfflineSplit) -> None:
    arms = (OfflineArm("one", "popularity", {}), OfflineArm("other", "popularity", {}))
    planned = [Run(arms[0], 0), Run(arms[1], 1)]
    told: list[int] = []
    at_once = evaluate_runs(
        replace(setup, jobs=2), offline, planned, on_done=lambda run, done, total: told.append(done)
    )
    assert told == [1, 2]
    alone = evaluate_runs(replace(setup, evaluations=setup.evaluations / "alone"), offline, planned)
    for one, other in zip(at_once, alone, strict=True):
        assert one.recipe == other.recipe
        np.testing.assert_array_equal(one.per_user["ndcg_100"], other.per_user["ndcg_100"])


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (2_000.0, "arm mine, seed 1: the loss is nan in epoch 1; it must be finite: lower the learning rate"),
        (1_000.0, "arm mine, seed 1: a score is not a number; the recommender diverged"),
    ],
)
def test_an_arm_that_diverges_is_named_and_leaves_nothing(
    setup: Setup, offline: OfflineSplit, noise: float, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_runs(setup, offline, [Run(replace(ARM, config={"noise": noise}), 1)])
    assert not setup.evaluations.exists()


def test_a_user_of_whom_nothing_is_ranked_is_no_score(
    setup: Setup, offline: OfflineSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = lambda self, histories: np.full(histories.shape, -np.inf, dtype=np.float32)  # noqa: E731
    monkeypatch.setattr(Noisy, "score", silent)
    with pytest.raises(DataError, match="noisy leaves novelty_20 without a finite value; it must rank at least one"):
        evaluate_runs(setup, offline, RUNS[:1])


def test_a_damaged_file_says_what_to_do(setup: Setup, offline: OfflineSplit) -> None:
    evaluate_runs(setup, offline, RUNS[:1])
    path = evaluation.place(setup.evaluations, ARM.recipe(offline, 1))
    whole = path.read_bytes()
    for content in (whole[:-30], b"", b"PK\x03\x04", b"text"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"is damaged .*; delete it, and the arm is evaluated again"):
            evaluate_runs(setup, offline, RUNS[:1])


def test_a_file_of_another_recipe_or_of_other_users_is_refused(setup: Setup, offline: OfflineSplit) -> None:
    evaluate_runs(setup, offline, RUNS[:2])
    one, other = (evaluation.place(setup.evaluations, ARM.recipe(offline, seed)) for seed in (1, 2))
    with pytest.raises(DataError, match=r"on 40 users, not of \w+ on 39; delete it"):
        evaluation.read(setup.evaluations, ARM.recipe(offline, 1), users=39)
    one.write_bytes(other.read_bytes())
    with pytest.raises(DataError, match=f"is of recipe {other.stem} on 40 users, not of {one.stem} on 40"):
        evaluate_runs(setup, offline, RUNS[:1])


def test_no_job_is_refused(setup: Setup) -> None:
    with pytest.raises(DataError, match="the number of jobs is 0; it must be at least 1"):
        replace(setup, jobs=0)
