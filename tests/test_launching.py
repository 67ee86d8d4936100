"""A launch freezes the popularity that serves where an arm fails, beside the arms."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest

from ab_platform import launching
from ab_platform.errors import DataError
from ab_platform.experiment import Arm
from ab_platform.lineage import Launch
from ab_platform.serving import Server
from ab_platform.storage.store import Store
from ab_platform.training import Snapshot, Workshop, load_arm, snapshot, train
from models.popularity import Popularity
from models.recommender import FitOptions
from tests.small_world import EXPERIMENT, NOW, fill

TWO = (Arm("ease", "ease", 0.5, control=True), Arm("popular", "popularity", 0.5))
FAST = replace(EXPERIMENT, arms=TWO, least_quality=0.0)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "artifacts", tmp_path / "checkpoints", device="cpu", precision="float32")


@pytest.fixture
def snap(store: Store) -> Snapshot:
    fill(store)
    return snapshot(store, FAST.data)


@pytest.fixture
def launched(store: Store, workshop: Workshop, snap: Snapshot) -> Launch:
    return launching.launch(store, workshop, FAST, snap, at=NOW)


def fallback_slate(server: Server, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Return what a user without a history is served where every arm fails."""

    def fail(*arguments: object) -> None:
        raise RuntimeError("the arm is broken")

    for recommender in server._recommenders.values():
        monkeypatch.setattr(recommender, "score", fail, raising=False)
    slate = server.recommend("a stranger", "home_card", at=NOW + timedelta(days=1))
    assert slate.served_by == "popularity"
    return slate.title_ids


def test_the_fallback_is_trained_once_and_frozen_with_the_arms(
    store: Store, workshop: Workshop, snap: Snapshot, launched: Launch
) -> None:
    assert launched.fallback is not None
    made = store.artifact(launched.fallback)
    assert (made.recipe.recommender, made.recipe.seed, made.recipe.data_hash) == ("popularity", 0, snap.data_hash)
    assert (workshop.artifacts / launched.fallback).is_dir()
    assert launched.artifacts["popular"] == launched.fallback  # an arm of the same recipe is the same artifact
    assert launching.launch(store, workshop, FAST, snap, at=NOW + timedelta(days=1)) == launched


def test_a_fallback_whose_files_are_gone_comes_back_with_the_next_launch(
    store: Store, workshop: Workshop, snap: Snapshot, launched: Launch
) -> None:
    assert launched.fallback is not None
    before = load_arm(workshop, launched.fallback).score(snap.split().train.matrix[:3])
    rmtree(workshop.artifacts / launched.fallback)
    launching.launch(store, workshop, FAST, snap, at=NOW + timedelta(days=1))
    assert np.array_equal(load_arm(workshop, launched.fallback).score(snap.split().train.matrix[:3]), before)


def test_another_fallback_than_the_frozen_one_is_refused(
    store: Store, workshop: Workshop, snap: Snapshot, launched: Launch
) -> None:
    seeded = train(store, workshop, snap, replace(TWO[1], seed=5), at=NOW).artifact_id
    definition = replace(FAST, key="other", salt="other", layer="another")
    store.launch(replace(launched, experiment=definition, fallback=seeded))
    rmtree(workshop.artifacts / seeded)
    with pytest.raises(
        DataError, match=f"artifact {seeded} of popularity is gone from .* trains {launched.fallback} inst"
    ):
        launching.launch(store, workshop, definition, snap, at=NOW)


def test_the_server_loads_the_frozen_fallback(
    store: Store, workshop: Workshop, snap: Snapshot, launched: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = Popularity()
    split.fit(snap.split().train, None, FitOptions())
    order = np.argsort(-split.score(snap.split().train.matrix[:1] * 0)[0], kind="stable")
    served = fallback_slate(launching.server(store, workshop, launched, snap), monkeypatch)
    assert served == tuple(split.items[place] for place in order[: FAST.slate_size])


@pytest.mark.parametrize("why", ["not frozen", "files gone"])
def test_without_a_frozen_fallback_popularity_is_counted_from_the_data(
    store: Store,
    workshop: Workshop,
    snap: Snapshot,
    launched: Launch,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    arms = {"ease": launched.artifacts["ease"]}
    if why == "files gone":
        rmtree(workshop.artifacts / str(launched.fallback))
    older = replace(launched, artifacts=arms, fallback=launched.fallback if why == "files gone" else None)
    whole = Popularity()
    whole.fit(snap.train, None, FitOptions())
    order = np.argsort(-whole.score(snap.train.matrix[:1] * 0)[0], kind="stable")
    served = fallback_slate(launching.server(store, workshop, older, snap), monkeypatch)
    assert served == tuple(whole.items[place] for place in order[: FAST.slate_size])
