"""Tuning: trials in order of merit, none trained twice."""

import dataclasses
from pathlib import Path

import pytest

from models.errors import ModelError
from models.interactions import UserSplit
from models.recommender import FitOptions
from models.tuning import Trial, tune
from tests.models.tastes import SMALL_VAE, two_groups

BASE = {**SMALL_VAE, "epochs": 8}
GRID: list[dict[str, object]] = [{"learning_rate": 1e-6}, {"learning_rate": 0.01}]
OPTIONS = FitOptions(threads=1)


def split() -> UserSplit:
    return two_groups().split_users(validation_users=30, test_users=0, seed=1)


def test_the_best_trial_comes_first() -> None:
    trials = tune("multi_vae", BASE, GRID, split(), options=OPTIONS)
    assert [trial.config["learning_rate"] for trial in trials] == [0.01, 1e-6]
    assert trials[0].ndcg > trials[1].ndcg
    assert all(trial.report is not None and trial.report.ndcg == trial.ndcg for trial in trials)


def test_a_known_trial_is_not_trained_again() -> None:
    told: list[Trial] = []
    first = tune("multi_vae", BASE, GRID, split(), options=OPTIONS, on_trial=told.append)
    assert sorted(told, key=lambda trial: -trial.ndcg) == list(first)
    known = {first[0].key: 0.75}
    again = tune("multi_vae", BASE, GRID, split(), options=OPTIONS, known=known, on_trial=told.append)
    assert (again[0].ndcg, again[0].report) == (0.75, None)
    assert [trial.key for trial in told[2:]] == [first[1].key]


def test_the_key_tells_recommender_config_and_seed_apart_but_not_how_a_default_was_given() -> None:
    def keys(name: str, point: dict[str, object], seed: int = 0) -> str:
        options = dataclasses.replace(OPTIONS, seed=seed)
        return tune(name, {**BASE, "epochs": 1}, [point], split(), options=options)[0].key

    plain = keys("multi_vae", {})
    assert keys("multi_vae", {"keep": 0.5}) == plain
    assert len({plain, keys("multi_vae", {"keep": 0.4}), keys("multi_vae", {}, seed=1), keys("pia", {})}) == 4


def test_each_trial_keeps_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    tune("multi_vae", BASE, GRID, split(), options=dataclasses.replace(OPTIONS, checkpoint=tmp_path))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_a_setting_that_cannot_be_is_found_before_the_first_trial() -> None:
    told: list[Trial] = []
    with pytest.raises(ModelError, match=r"keep is 2\.0"):
        tune("multi_vae", BASE, [{}, {"keep": 2}], split(), options=OPTIONS, on_trial=told.append)
    assert told == []


def test_tuning_without_validation_users_is_refused() -> None:
    nobody = two_groups().split_users(validation_users=0, test_users=30, seed=1)
    with pytest.raises(ModelError, match="there are no validation users"):
        tune("multi_vae", BASE, GRID, nobody, options=OPTIONS)
