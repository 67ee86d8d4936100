"""A search: an equal budget, the same trials however often it is cut short, none lost and none done twice."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from ab_platform.errors import DataError, ExperimentError
from ab_platform.experiment import Arm
from ab_platform.lineage import StudyTrial
from ab_platform.storage.store import Store, open_store
from ab_platform.tuning import suggesting
from ab_platform.tuning.grid import grid, try_all
from ab_platform.tuning.measuring import Bench
from ab_platform.tuning.searching import Budget, Plan, search
from ab_platform.tuning.study import Study, study_of
from ab_platform.tuning.suggesting import suggest
from models.config import Search
from models.recommender import EpochReport
from tests.tuning.conftest import NOW
from tests.tuning.fake import DIVERGES_ABOVE, SIZE_TO_EPOCHS, TOO_LARGE_ABOVE, Fake, FakeConfig, nearness

TRIALS = 9
SAFE = {"rate": Search(0.0001, DIVERGES_ABOVE, log=True), "size": Search(1, TOO_LARGE_ABOVE)}


class CutShortError(Exception):
    """The process is gone."""


@pytest.fixture
def study(bench: Bench) -> Study:
    return study_of(bench.material, Arm("fake", "fake", 1.0), SAFE)


@pytest.fixture
def plan(bench: Bench, study: Study) -> Plan:
    return Plan(bench, study, Budget(TRIALS))


def settings(trials: Sequence[StudyTrial]) -> list[dict[str, object]]:
    return [dict(trial.recipe.config) for trial in trials]


def nearest(study: Study) -> float:
    """How near to the best settings 20 trials of the sampler come."""
    known: list[StudyTrial] = []
    for number in range(1, 21):
        made = study.recipe(suggest(study, known, number))
        known.append(StudyTrial(study.key, number, made, "complete", NOW, {}, nearness(FakeConfig(**made.config))))  # type: ignore[arg-type]
    return max(trial.validation_ndcg or 0.0 for trial in known)


def test_a_search_comes_nearer_to_the_best_settings_than_chance_with_as_many_trials(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = [replace(study, seed=seed) for seed in range(10)]
    searched = [nearest(each) for each in seeds]
    monkeypatch.setattr(suggesting, "RANDOM_TRIALS", 100)
    by_chance = [nearest(each) for each in seeds]
    assert np.mean(searched) > 0.95 > np.mean(by_chance)
    assert np.sum(np.greater(searched, by_chance)) >= 7


def test_a_search_has_as_many_trials_as_asked_for_those_of_before_included(plan: Plan) -> None:
    first = list(search(plan))
    assert [trial.number for trial in first] == list(range(1, TRIALS + 1))
    assert first == list(plan.trials())
    assert list(search(plan)) == []
    more = list(search(replace(plan, budget=Budget(TRIALS + 2))))
    assert [trial.number for trial in more] == [TRIALS + 1, TRIALS + 2]
    assert len(Fake.trained) == TRIALS + 2
    assert list(search(replace(plan, budget=Budget(3)))) == []


def test_the_first_trial_has_the_defaults_and_each_keeps_its_curve(plan: Plan) -> None:
    first = next(search(plan))
    assert first.recipe.config == FakeConfig().as_mapping()
    assert first.state == "complete"
    assert list(first.curve) == list(range(1, 13))
    assert first.validation_ndcg == first.curve[12]
    [stored] = plan.bench.store.trials("fake", first.recipe.data_hash, first.recipe.code_version)
    assert (stored.recipe, stored.validation_ndcg, stored.curve) == (first.recipe, first.validation_ndcg, first.curve)


def test_a_trial_that_is_worse_than_half_of_the_others_is_given_up(plan: Plan) -> None:
    trials = list(search(plan))
    pruned = [trial for trial in trials if trial.state == "pruned"]
    complete = [trial for trial in trials if trial.state == "complete"]
    assert pruned
    assert len(pruned) + len(complete) == TRIALS
    assert all(trial.number > suggesting.COMPLETE_TRIALS for trial in pruned)
    assert all(list(trial.curve) == list(range(1, 12)) and trial.validation_ndcg is None for trial in pruned)
    assert max(trial.best_so_far or 0 for trial in pruned) < max(trial.best_so_far or 0 for trial in complete)
    assert not list(plan.bench.workshop.checkpoints.iterdir())


def test_at_its_last_epoch_nothing_is_given_up_any_more(bench: Bench) -> None:
    short = Arm("fake", "fake", 1.0, config={"epochs": suggesting.WARM_UP_EPOCHS + 1})
    trials = list(search(Plan(bench, study_of(bench.material, short, SAFE), Budget(TRIALS))))
    assert {trial.state for trial in trials} == {"complete"}


def test_killed_between_trials_a_search_goes_on_to_the_same_trials(plan: Plan, other: Plan) -> None:
    whole = list(search(plan))
    for number in (1, 5, 6):
        list(search(replace(other, budget=Budget(number))))
    list(search(other))
    assert other.trials() == tuple(whole)


@pytest.mark.parametrize("cut", [(1, 1), (4, 7), (6, 12)])
def test_killed_inside_a_trial_a_search_goes_on_from_its_checkpoint_to_the_same_trials(
    plan: Plan, other: Plan, cut: tuple[int, int]
) -> None:
    whole = list(search(plan))
    epochs: list[tuple[int, int]] = []

    def watch(trial: StudyTrial, report: EpochReport) -> None:
        epochs.append((trial.number, report.epoch))
        if epochs[-1] == cut and epochs.count(cut) == 1:
            raise CutShortError

    with pytest.raises(CutShortError):
        list(search(replace(other, watch=watch)))
    assert other.trials()[-1].state == "running"
    list(search(replace(other, watch=watch)))
    assert other.trials() == tuple(whole)
    assert len(epochs) == len(set(epochs))


def test_a_training_that_takes_epochs_again_writes_them_again(plan: Plan, other: Plan) -> None:
    whole = list(search(plan))

    def watch(trial: StudyTrial, report: EpochReport) -> None:
        if (trial.number, report.epoch) == (7, 9):
            (other.bench.workshop.checkpoints / trial.recipe.recipe_hash).write_text("4")
            raise CutShortError

    with pytest.raises(CutShortError):
        list(search(replace(other, watch=watch)))
    ends: list[tuple[int, int]] = []
    again = replace(other, watch=lambda trial, report: ends.append((max(trial.curve), report.epoch)))
    list(search(again))
    assert ends[0] == (5, 5)  # what it is held to is the epoch that it is at
    assert other.trials() == tuple(whole)


@pytest.fixture
def other(plan: Plan, other_store: Store, tmp_path: Path) -> Plan:
    """The same search on another store and in another workshop."""
    workshop = replace(plan.bench.workshop, checkpoints=tmp_path / "others")
    return replace(plan, bench=replace(plan.bench, store=other_store, workshop=workshop))


def test_two_searches_at_once_share_the_trials(plan: Plan) -> None:
    together = Barrier(2)

    def run() -> list[StudyTrial]:
        opened = open_store(plan.bench.store.url, migrate=False)
        own = replace(plan, bench=replace(plan.bench, store=opened))
        together.wait()
        return list(search(own))

    with ThreadPoolExecutor(2) as pool:
        one, two = [each.result() for each in [pool.submit(run), pool.submit(run)]]
    # Whoever is done first leaves what the other has under way.
    assert sorted(trial.number for trial in [*one, *two]) == list(range(1, TRIALS + 1))
    assert {trial.state for trial in plan.trials()} <= {"complete", "pruned"}
    assert len(Fake.trained) == TRIALS
    assert len({trial.recipe.recipe_hash for trial in plan.trials()}) == TRIALS


def test_a_trial_that_another_search_holds_is_left_to_it(plan: Plan) -> None:
    inside: list[list[int]] = []

    def watch(trial: StudyTrial, report: EpochReport) -> None:
        if (trial.number, report.epoch) == (2, 5):
            inside.append([each.number for each in search(replace(plan, budget=Budget(4)))])

    outside = [trial.number for trial in search(replace(plan, budget=Budget(5), watch=watch))]
    assert inside == [[3, 4]]
    assert outside == [1, 2, 5]
    assert len(Fake.trained) == 5


def test_a_trial_that_diverges_or_does_not_fit_is_written_down_and_the_search_goes_on(bench: Bench) -> None:
    bad = {"rate": Search(0.001, 1.0), "size": Search(80, 100)}
    trials = list(search(Plan(bench, study_of(bench.material, Arm("fake", "fake", 1.0), bad), Budget(12))))
    diverged = [trial for trial in trials if trial.reason and "the loss is nan in epoch 3" in trial.reason]
    too_large = [trial for trial in trials if trial.reason and "ran out of memory" in trial.reason]
    assert len(trials) == 12
    assert diverged
    assert too_large
    assert {trial.state for trial in [*diverged, *too_large]} == {"failed"}
    assert all(list(trial.curve) == [1, 2] and trial.validation_ndcg is None for trial in diverged)
    assert all(trial.recipe.config["rate"] > DIVERGES_ABOVE for trial in diverged)  # type: ignore[operator]
    assert not list(bench.workshop.checkpoints.glob("*.lock"))


def test_settings_that_do_not_go_together_are_a_failed_trial(bench: Bench) -> None:
    both = {"size": Search(1, 90), "epochs": Search(1, 3)}
    study = study_of(bench.material, Arm("fake", "fake", 1.0, config={"rate": 0.1}), both)
    trials = list(search(Plan(bench, study, Budget(TRIALS))))
    for trial in trials:
        size, epochs = study.settings(trial)["size"], study.settings(trial)["epochs"]
        assert trial.state == ("failed" if size > SIZE_TO_EPOCHS * epochs else "complete")
        assert trial.state == "complete" or "it must be at most 40 times as much" in str(trial.reason)
    assert {trial.state for trial in trials} == {"failed", "complete"}


def test_what_would_fail_whatever_the_settings_is_said_and_is_no_trial(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    cuda = replace(plan.bench, workshop=replace(plan.bench.workshop, device="cuda"))
    with pytest.raises(DataError, match="the device is cuda and torch finds none"):
        list(search(replace(plan, bench=cuda)))
    split = replace(plan.bench.material.split, validation=plan.bench.material.split.test)
    nobody = replace(plan.bench, material=replace(plan.bench.material, split=split))
    with pytest.raises(DataError, match="small leaves 300 interactions to train on and 0 users to judge"):
        list(search(replace(plan, bench=nobody)))
    assert plan.trials() == ()


def test_a_checkpoint_that_cannot_be_taken_up_is_let_go(plan: Plan, other: Plan) -> None:
    whole = list(search(plan))

    def watch(trial: StudyTrial, report: EpochReport) -> None:
        if (trial.number, report.epoch) == (3, 6):
            (other.bench.workshop.checkpoints / trial.recipe.recipe_hash).write_text("of another device")
            raise CutShortError

    with pytest.raises(CutShortError):
        list(search(replace(other, watch=watch)))
    list(search(other))
    assert other.trials() == tuple(whole)


def test_what_was_tried_before_by_a_grid_or_another_study_is_not_trained_again(bench: Bench, study: Study) -> None:
    [tried] = try_all(bench, Arm("fake", "fake", 1.0), grid({"epochs": [12]}))
    first = next(search(Plan(bench, study, Budget(1))))
    assert (first.state, first.validation_ndcg, first.curve) == ("complete", tried.validation_ndcg, tried.curve)
    wider = study_of(bench.material, Arm("fake", "fake", 1.0))
    assert next(search(Plan(bench, wider, Budget(1)))).validation_ndcg == tried.validation_ndcg
    assert len(Fake.trained) == 1


def test_an_arm_without_anything_to_look_for_is_tried_once(bench: Bench) -> None:
    study = study_of(bench.material, Arm("popularity", "popularity", 1.0))
    [only] = search(Plan(bench, study, Budget(20)))
    assert only.state == "complete"
    assert only.curve == {}
    assert only.best_so_far == only.validation_ndcg


def test_when_the_time_is_up_the_trial_stops_after_its_epoch_and_can_be_taken_up(plan: Plan) -> None:
    clock = iter(NOW + timedelta(seconds=second) for second in range(10_000))
    timed = replace(plan.bench, at=lambda: next(clock))
    stopped = replace(plan, bench=timed, budget=Budget(TRIALS, until=NOW + timedelta(seconds=60)))
    ended = list(search(stopped))
    assert 0 < len(ended) < TRIALS
    *_, last = plan.trials()
    assert last.state == "running"
    assert 0 < len(last.curve) < 12
    again = list(search(plan))
    assert len(ended) + len(again) == TRIALS


def test_a_search_of_nothing_says_so() -> None:
    with pytest.raises(ExperimentError, match="a search of 0 trials tries nothing; ask for at least 1"):
        Budget(0)
