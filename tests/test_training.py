"""Training: snapshots, and artifacts that are not trained twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ab_platform.documents import restored
from ab_platform.errors import DataError, ExperimentError
from ab_platform.experiment import Arm, DataRule
from ab_platform.experiment_file import parse
from ab_platform.storage.store import Store
from ab_platform.training import Workshop, check_arms, load_arm, recipe, snapshot, train, trained
from ab_platform.training_log import Training

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULE = DataRule("small", least_rating=4.0, least_interactions=3, hold_back=0.3)
ARM = Arm("vae", "multi_vae", 1.0, config={"epochs": 2, "hidden": 8, "latent": 4, "batch": 16})


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with 40 users of 10 titles each, every tenth rating below the threshold."""
    rng = np.random.default_rng(7)
    users = [f"u{user:02d}" for user in range(40) for _ in range(10)]
    titles = [f"t{title:02d}" for _ in range(40) for title in rng.permutation(30)[:10]]
    ratings = np.where(np.arange(400) % 10 == 9, 3.0, 5.0)
    with store.ingesting("small", "hash", "made by a test", NOW) as writer:
        writer.write_interactions(users, titles, ratings, np.arange(400, dtype=np.int64) + 1_000_000_000)
        writer.finish(0)
    return store


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "artifacts", tmp_path / "checkpoints", device="cpu", precision="float32")


def test_a_snapshot_keeps_what_is_liked_and_holds_back_the_last(filled: Store) -> None:
    snap = snapshot(filled, RULE)
    people = snap.population()
    assert len(people.histories) == 40
    assert all(len(people.histories[user]) == 7 and len(people.likes[user]) == 2 for user in people.histories)
    assert snap.data_hash == snapshot(filled, RULE).data_hash


def test_another_rule_is_other_data(filled: Store) -> None:
    assert snapshot(filled, RULE).data_hash != snapshot(filled, replace(RULE, hold_back=0.5)).data_hash


def test_data_that_is_not_there_says_the_next_step(store: Store) -> None:
    with pytest.raises(DataError, match=r"data set 'small' is not ingested \(there: none\); run `abp ingest small`"):
        snapshot(store, RULE)


def test_a_threshold_above_every_rating_says_so(filled: Store) -> None:
    with pytest.raises(DataError, match=r"small has no interaction rated 6.0 or more; lower least_rating"):
        snapshot(filled, replace(RULE, least_rating=6.0))


def test_an_arm_is_trained_once_and_loads_to_the_same_scores(filled: Store, workshop: Workshop) -> None:
    snap = snapshot(filled, RULE)
    epochs: list[int] = []
    first = train(filled, workshop, snap, ARM, at=NOW, on_epoch=lambda report: epochs.append(report.epoch))
    again = train(filled, workshop, snap, ARM, at=NOW, on_epoch=lambda report: epochs.append(report.epoch))
    assert first == again
    assert epochs == [1, 2]
    histories = snap.split().train.matrix
    one, other = (load_arm(workshop, first.artifact_id).score(histories) for _ in range(2))
    assert np.array_equal(one, other)
    assert set(first.scores) >= {"validation_ndcg_100"}


def test_how_a_training_went_is_kept_beside_its_artifact(filled: Store, workshop: Workshop) -> None:
    reports: list[float | None] = []
    artifact = train(
        filled, workshop, snapshot(filled, RULE), ARM, at=NOW, on_epoch=lambda report: reports.append(report.ndcg)
    )
    kept = filled.document("training", artifact.artifact_id)
    assert kept is not None
    log = restored(Training, kept)
    assert list(log.curve) == reports
    assert (log.epochs_run, log.most_epochs, log.ran_out) == (2, 2, False)
    assert log.validation_ndcg == artifact.scores["validation_ndcg_100"] == log.curve[log.best_epoch - 1]


def test_an_arm_that_learns_nothing_in_epochs_has_no_curve(filled: Store, workshop: Workshop) -> None:
    popular = Arm("popularity", "popularity", 1.0)
    artifact = train(filled, workshop, snapshot(filled, RULE), popular, at=NOW)
    kept = filled.document("training", artifact.artifact_id)
    assert kept is not None
    log = restored(Training, kept)
    assert (log.curve, log.best_epoch, log.most_epochs, log.ran_out) == ((), 0, 0, False)


def test_an_arm_whose_files_were_removed_is_trained_again_to_the_same_artifact(
    filled: Store, workshop: Workshop
) -> None:
    snap = snapshot(filled, RULE)
    first = train(filled, workshop, snap, ARM, at=NOW)
    folder = workshop.artifacts / first.artifact_id
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert trained(filled, workshop, first.recipe) is None
    assert train(filled, workshop, snap, ARM, at=NOW).artifact_id == first.artifact_id


def test_a_changed_byte_is_refused(filled: Store, workshop: Workshop) -> None:
    artifact = train(filled, workshop, snapshot(filled, RULE), ARM, at=NOW)
    weights = workshop.artifacts / artifact.artifact_id / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.chmod(0o644)
    weights.write_bytes(content)
    with pytest.raises(DataError, match="weights"):
        load_arm(workshop, artifact.artifact_id)


def test_the_recipe_tells_seeds_and_settings_apart_but_not_defaults(filled: Store) -> None:
    snap = snapshot(filled, RULE)
    plain = recipe(snap, "multi_vae", {}, 0)
    assert recipe(snap, "multi_vae", {"batch": 500}, 0).recipe_hash == plain.recipe_hash
    assert recipe(snap, "multi_vae", {"batch": 123}, 0).recipe_hash != plain.recipe_hash
    assert recipe(snap, "multi_vae", {}, 1).recipe_hash != plain.recipe_hash


def test_an_unknown_setting_names_the_nearest(filled: Store) -> None:
    with pytest.raises(ExperimentError, match="alignment"):
        recipe(snapshot(filled, RULE), "pia", {"alignmnt": 0.1}, 0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("alignment = 0.1", "alignmnt = 0.1", "arm pia: the setting 'alignmnt' is unknown; did you mean 'alignment'?"),
        ("alignment = 0.1", "alignment = -1.0", "arm pia: alignment is -1.0; it must be at least 0"),
        ('recommender = "pia"', 'recommender = "piaa"', "arm pia: the recommender 'piaa' is unknown"),
    ],
)
def test_an_error_in_an_arms_settings_has_its_line_in_the_file(old: str, new: str, words: str) -> None:
    text = (Path(__file__).parent.parent / "experiments" / "pia-vs-multivae.toml").read_text(encoding="utf-8")
    line = next(number for number, each in enumerate(text.splitlines(), start=1) if each.startswith(old))
    with pytest.raises(ExperimentError) as raised:
        parse(text.replace(old, new), source="x.toml", check=check_arms)
    assert str(raised.value).startswith(f"x.toml:{line}: {words}")


def test_too_few_users_to_hold_any_out_says_so(filled: Store) -> None:
    with pytest.raises(DataError, match="leaves 0 users to train on; at least 10 are required"):
        snapshot(filled, replace(RULE, least_interactions=100)).split()
