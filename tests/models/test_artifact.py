"""Artifacts: what they hold, and that a changed byte is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from models import artifact
from models.artifact import ITEMS, MANIFEST, WEIGHTS
from models.code_version import code_version
from models.errors import ArtifactError, ModelError
from models.recommender import FitOptions, FitReport, Recommender
from models.registry import create
from tests.models.tastes import SMALL_VAE, two_groups

TRAIN = two_groups()


def fitted() -> tuple[Recommender, FitReport]:
    recommender = create("multi_vae", {**SMALL_VAE, "epochs": 2})
    return recommender, recommender.fit(TRAIN, None, FitOptions(seed=3, threads=1))


def saved(folder: Path) -> str:
    recommender, report = fitted()
    return artifact.save(
        folder,
        recommender,
        seed=3,
        data_hash=TRAIN.content_hash(),
        scores={"ndcg_100": 0.5},
        trained=report,
    )


def test_the_manifest_says_what_it_is_and_how_it_came_about(tmp_path: Path) -> None:
    artifact_id = saved(tmp_path)
    _, manifest = artifact.load(tmp_path, artifact_id)
    assert manifest == artifact.read_manifest(tmp_path, artifact_id)
    assert manifest.artifact_id == artifact_id
    assert manifest.recommender == "multi_vae"
    assert manifest.config["hidden"] == 16
    assert (manifest.seed, manifest.data_hash) == (3, TRAIN.content_hash())
    assert manifest.code_version == code_version("multi_vae")
    assert manifest.scores == {"ndcg_100": 0.5}
    assert (manifest.best_epoch, manifest.epochs_run, manifest.ndcg) == (2, 2, None)
    assert set(manifest.files) == {ITEMS, WEIGHTS}


def test_the_same_training_has_the_same_id_and_is_kept_once(tmp_path: Path) -> None:
    assert saved(tmp_path) == saved(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", [MANIFEST, ITEMS, WEIGHTS])
@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_a_changed_byte_is_refused(name: str, place: float, tmp_path: Path) -> None:
    artifact_id = saved(tmp_path)
    path = tmp_path / artifact_id / name
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name} has changed since it was saved; restore it from a backup"):
        artifact.load(tmp_path, artifact_id)


@pytest.mark.parametrize("name", [MANIFEST, ITEMS, WEIGHTS])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    artifact_id = saved(tmp_path)
    (tmp_path / artifact_id / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing; restore the folder"):
        artifact.load(tmp_path, artifact_id)


def test_saving_again_over_a_damaged_artifact_is_refused(tmp_path: Path) -> None:
    (tmp_path / saved(tmp_path) / WEIGHTS).write_bytes(b"")
    with pytest.raises(ArtifactError, match=f"{WEIGHTS} has changed"):
        saved(tmp_path)


@pytest.mark.parametrize("artifact_id", ["", "..", "../../../etc", "0123456789abcdeg", "0123456789ABCDEF", "a" * 17])
def test_an_id_that_is_no_id_is_refused(artifact_id: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not 16 hex digits"):
        artifact.load(tmp_path, artifact_id)


def test_an_artifact_of_another_name_is_refused(tmp_path: Path) -> None:
    artifact_id = saved(tmp_path)
    (tmp_path / artifact_id).rename(tmp_path / ("0" * 16))
    with pytest.raises(ArtifactError, match=f"{MANIFEST} has changed"):
        artifact.load(tmp_path, "0" * 16)


def test_a_write_cut_short_leaves_no_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.durable.write", full_disk)
    with pytest.raises(OSError, match="No space left"):
        saved(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_scores_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    recommender, report = fitted()
    with pytest.raises(ModelError, match=r"the score ndcg_100 is nan; leave out what could not be computed"):
        artifact.save(tmp_path, recommender, seed=0, data_hash="d", scores={"ndcg_100": float("nan")}, trained=report)


def test_the_weights_are_plain_arrays_that_any_reader_of_safetensors_opens(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    recommender, _ = fitted()
    artifact_id = saved(tmp_path)
    arrays = load_file(tmp_path / artifact_id / WEIGHTS)
    assert arrays.keys() == recommender.arrays().keys()
    for name, array in recommender.arrays().items():
        np.testing.assert_array_equal(arrays[name], array)
    assert json.loads((tmp_path / artifact_id / ITEMS).read_text()) == list(TRAIN.items)
