from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ab_platform.errors import NotFoundError
from ab_platform.lineage import Artifact, Trial
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
    mine = [Trial(recipe(seed=seed), 0.1 * seed, START + timedelta(hours=seed)) for seed in (2, 1)]
    others = [
        Trial(replace(recipe(), recommender="pia"), 0.9, START),
        Trial(replace(recipe(), data_hash="data-2"), 0.9, START),
        Trial(replace(recipe(), code_version="code-2"), 0.9, START),
    ]
    for trial in [*mine, *others, *mine]:
        store.record_trial(trial)
    assert store.trials("multi_vae", "data-1", "code-1") == (mine[1], mine[0])
