"""Which arms are compared, from which seeds, with which settings."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ab_platform.errors import DataError, ExperimentError
from ab_platform.lineage import Trial
from ab_platform.offline.arms import OfflineArm, Run, check, control_of, runs, tuned
from ab_platform.offline.protocol import OfflineSplit
from ab_platform.storage.store import Store
from models.registry import default_config

NOISY, STEADY = OfflineArm("noisy", "noisy", {"noise": 0.1}), OfflineArm("steady", "steady", {})

pytestmark = pytest.mark.usefixtures("setup")


def tried(store: Store, offline: OfflineSplit, noise: float, ndcg: float) -> None:
    """Store a trial of the fake."""
    made = OfflineArm("noisy", "noisy", {"noise": noise}).recipe(offline, 0)
    store.record_trial(Trial(made, ndcg, datetime(2026, 3, 1, tzinfo=UTC)))


def test_each_arm_is_trained_from_each_seed_but_once_where_seeds_have_no_effect() -> None:
    assert runs([NOISY, STEADY], [3, 1]) == (Run(NOISY, 3), Run(NOISY, 1), Run(STEADY, 0))


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1, 2]])
def test_seeds_must_be_there_differ_and_not_be_negative(seeds: list[int]) -> None:
    with pytest.raises(ExperimentError, match="give different whole numbers from 0: --seeds 1,2,3"):
        runs([NOISY], seeds)


def test_the_control_is_asked_for_or_multi_vae_or_the_first() -> None:
    multi_vae = OfflineArm("multi_vae", "multi_vae", {})
    assert control_of([NOISY, STEADY], None) == "noisy"
    assert control_of([NOISY, multi_vae], None) == "multi_vae"
    assert control_of([NOISY, multi_vae], "noisy") == "noisy"
    with pytest.raises(ExperimentError, match="no arm is called 'steedy' to compare the others with; did you mean 'st"):
        control_of([NOISY, STEADY], "steedy")


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([], "there is no arm to evaluate; name some"),
        ([NOISY, NOISY], "two arms are called 'noisy'; give one of them a label: other=noisy:setting=value"),
        ([OfflineArm("a", "noisi", {})], r"arm a: the recommender 'noisi' is unknown; did you mean 'noisy'\?"),
        ([OfflineArm("a", "noisy", {"nois": 1})], r"arm a: the setting 'nois' is unknown; did you mean 'noise'\?"),
        ([OfflineArm("a", "noisy", {"noise": -1})], "arm a: noise is -1.0; it must be at least 0"),
    ],
)
def test_arms_that_cannot_be_are_refused_by_their_label(arms: list[OfflineArm], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        check(arms)


def test_the_best_trial_gives_the_settings_but_for_those_that_are_given(filled: Store, offline: OfflineSplit) -> None:
    tried(filled, offline, 0.3, 0.2)
    tried(filled, offline, 0.7, 0.4)
    tried(filled, offline, 0.9, 0.3)
    bare = OfflineArm("mine", "noisy", {})
    assert tuned(filled, offline, bare) == OfflineArm("mine", "noisy", {"noise": 0.7})
    assert tuned(filled, offline, NOISY) == NOISY


def test_an_arm_without_a_trial_says_how_to_get_one(filled: Store, offline: OfflineSplit) -> None:
    with pytest.raises(DataError, match="run `abp tune noisy --dataset small --protocol offline` first, or leave"):
        tuned(filled, offline, NOISY)


def test_an_arm_with_nothing_to_tune_needs_no_trial(filled: Store, offline: OfflineSplit) -> None:
    assert not default_config("popularity")
    popularity = OfflineArm("popularity", "popularity", {})
    assert tuned(filled, offline, popularity) == popularity
