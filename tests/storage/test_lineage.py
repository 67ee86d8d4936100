from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest

from ab_platform.errors import NotFoundError
from ab_platform.lineage import Artifact, StudyTrial, Trial, TrialState
from ab_platform.storage.store import Store
from tests.storage.made import START, recipe

ARTIFACT = Artifact("a1b2", recipe(), {"validation_ndcg": 0.31}, START)


def test_an_artifact_comes_back_as_it_was_registered(store: Store) -> None:
    store.register(ARTIFACT)
    assert store.artifact("a1b2") == ARTIFACT
    assert store.artifact_of(ARTIFACT.recipe.recipe_hash) == ARTIFACT


def test_registering_twice_keeps_the_first(store: Store) -> None:
    store.register(ARTIFACT)
    store.register(replace(ARTIFACT, scores={"validation_ndcg": 0.0}))
    assert store.artifacts() == (ARTIFACT,)


def test_a_recipe_trained_again_gives_the_newest_artifact(store: Store) -> None:
    again = replace(ARTIFACT, artifact_id="0000", trained_at=START + timedelta(days=1))
    store.register(again)
    store.register(ARTIFACT)
    assert store.artifact_of(ARTIFACT.recipe.recipe_hash) == again
    assert store.artifacts() == (ARTIFACT, again)


def test_an_unknown_artifact_names_the_nearest(store: Store) -> None:
    store.register(ARTIFACT)
    with pytest.raises(NotFoundError, match=r"artifact 'a1b3' is not registered; did you mean 'a1b2'\?"):
        store.artifact("a1b3")
    assert store.artifact_of("never trained") is None


def test_trials_are_those_of_the_same_recommender_data_and_code(store: Store) -> None:
    curve = {epoch: 0.01 * epoch for epoch in range(1, 12)}
    mine = [Trial(recipe(seed=seed), 0.1 * seed, START + timedelta(hours=seed), curve) for seed in (2, 1)]
    others = [
        Trial(replace(recipe(), recommender="pia"), 0.9, START),
        Trial(replace(recipe(), data_hash="data-2"), 0.9, START),
        Trial(replace(recipe(), code_version="code-2"), 0.9, START),
    ]
    for trial in [*mine, *others, *mine]:
        store.record_trial(trial)
    assert store.trials("multi_vae", "data-1", "code-1") == (mine[1], mine[0])


CLAIMED = StudyTrial("study-1", 1, recipe(), "running", START)


def test_a_number_of_a_study_is_claimed_once(store: Store) -> None:
    assert store.claim(CLAIMED)
    assert not store.claim(replace(CLAIMED, recipe=recipe(seed=7), at=START + timedelta(hours=1)))
    assert store.claim(replace(CLAIMED, number=2))
    assert store.claim(replace(CLAIMED, study="study-2"))
    assert store.study_trials("study-1") == (CLAIMED, replace(CLAIMED, number=2))
    assert store.study_trials("study-3") == ()


def test_of_two_that_claim_a_number_at_once_one_gets_it(store: Store) -> None:
    together = Barrier(2)

    def claim(seed: int) -> bool:
        together.wait()
        return store.claim(replace(CLAIMED, recipe=recipe(seed=seed)))

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(claim, (1, 2))) == [False, True]
    assert len(store.study_trials("study-1")) == 1


def test_a_trial_of_a_study_comes_back_with_its_epochs_in_order(store: Store) -> None:
    store.claim(CLAIMED)
    came = replace(CLAIMED, curve={epoch: 0.3 / epoch for epoch in range(1, 13)}, at=START + timedelta(hours=1))
    store.advance(came)
    [stored] = store.study_trials("study-1")
    assert stored == came
    assert list(stored.curve) == list(range(1, 13))


@pytest.mark.parametrize("state", ["pruned", "failed", "complete"])
def test_a_trial_that_has_ended_stays_as_it_is(store: Store, state: TrialState) -> None:
    store.claim(CLAIMED)
    ended = replace(CLAIMED, state=state, curve={1: 0.2}, reason="it diverged" if state == "failed" else None)
    store.advance(ended)
    store.advance(replace(CLAIMED, curve={1: 0.1, 2: 0.4}))
    store.advance(replace(CLAIMED, state="failed", reason="too late"))
    assert store.study_trials("study-1") == (ended,)


def test_a_complete_trial_of_a_study_is_a_trial_and_no_other_is(store: Store) -> None:
    states: tuple[TrialState, ...] = ("running", "pruned", "failed")
    for number, state in enumerate(states, start=1):
        unfinished = replace(CLAIMED, number=number, recipe=recipe(seed=number), state=state)
        store.claim(replace(unfinished, state="running"))
        store.advance(unfinished)
    assert store.trials("multi_vae", "data-1", "code-1") == ()
    complete = replace(CLAIMED, number=4, state="complete", curve={1: 0.2, 2: 0.4}, validation_ndcg=0.4)
    store.claim(replace(CLAIMED, number=4))
    for _ in range(2):
        store.advance(complete)
    assert store.trials("multi_vae", "data-1", "code-1") == (Trial(recipe(), 0.4, START, {1: 0.2, 2: 0.4}),)
