"""A fitted recommender as files whose name vouches for every byte. Loading runs no code from them.

    folder/<artifact_id>/
        manifest.json         what it is, how it was trained, the SHA-256 of the other files
        items.json            the item vocabulary
        weights.safetensors   the arrays

The id is the first 16 hex digits of the SHA-256 of the manifest. No clock goes into it, so the same training on the
same machine has the same id.
"""

import hashlib
import json
import math
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from models import durable
from models.code_version import code_version
from models.errors import ArtifactError, ModelError
from models.recommender import FitReport, Recommender
from models.registry import create

MANIFEST, ITEMS, WEIGHTS = "manifest.json", "items.json", "weights.safetensors"


@dataclass(frozen=True)
class Manifest:
    """What an artifact says of itself.

    Attributes:
        artifact_id: the name of its folder.
        recommender: the name in the registry.
        config: every setting, defaults included.
        seed: of the training.
        data_hash: content hash of the training interactions.
        code_version: of the recommender's modules when it was trained.
        scores: offline scores by name.
        best_epoch: the epoch whose weights these are.
        epochs_run: how many epochs ran.
        ndcg: validation NDCG@100 at the best epoch; None without validation users.
        device: where it was trained.
        precision: of the large products while training.
        files: the SHA-256, in hex, of each other file.
    """

    artifact_id: str
    recommender: str
    config: Mapping[str, object]
    seed: int
    data_hash: str
    code_version: str
    scores: Mapping[str, float]
    best_epoch: int
    epochs_run: int
    ndcg: float | None
    device: str
    precision: str
    files: Mapping[str, str]


def save(
    folder: Path,
    recommender: Recommender,
    *,
    seed: int,
    data_hash: str,
    scores: Mapping[str, float],
    trained: FitReport,
) -> str:
    """Write an artifact into `folder` and return its id; an artifact that is there already stays as it is.

    Args:
        folder: holds one folder an artifact; made if missing.
        recommender: fitted.
        seed: of its training.
        data_hash: `Interactions.content_hash()` of its training data.
        scores: offline scores by name.
        trained: what `fit` returned.

    Raises:
        ModelError: a score is not a finite number.
        ArtifactError: an artifact of this id is there but damaged.
    """
    wrong = next((name for name, score in scores.items() if not math.isfinite(score)), None)
    if wrong is not None:
        raise ModelError(f"the score {wrong} is {scores[wrong]}; leave out what could not be computed")
    contents = {
        ITEMS: _json(list(recommender.items)),
        WEIGHTS: safetensors.save({name: np.ascontiguousarray(array) for name, array in recommender.arrays().items()}),
    }
    contents[MANIFEST] = _json(
        {
            "recommender": recommender.name,
            "config": recommender.config.as_mapping(),
            "seed": seed,
            "data_hash": data_hash,
            "code_version": code_version(recommender.name),
            "scores": dict(scores),
            "best_epoch": trained.best_epoch,
            "epochs_run": trained.epochs_run,
            "ndcg": trained.ndcg,
            "device": trained.device,
            "precision": trained.precision,
            "files": {name: _sha256(content) for name, content in contents.items()},
        }
    )
    artifact_id = _sha256(contents[MANIFEST])[:16]
    _place(folder, artifact_id, contents)
    return artifact_id


def load(folder: Path, artifact_id: str) -> tuple[Recommender, Manifest]:
    """Read an artifact, every byte checked against its id.

    Raises:
        ArtifactError: a file is missing or a byte has changed.
        ModelError: this version of the code does not know the recommender, its settings or its arrays.
    """
    manifest, contents = _verified(folder, artifact_id)
    recommender = create(manifest.recommender, manifest.config)
    try:
        arrays = safetensors.load(contents[WEIGHTS])
    except SafetensorError as error:
        raise ArtifactError(f"{folder / artifact_id / WEIGHTS} cannot be read: {error}; train the arm again") from error
    recommender.restore(json.loads(contents[ITEMS]), arrays)
    return recommender, manifest


def read_manifest(folder: Path, artifact_id: str) -> Manifest:
    """Read what an artifact says of itself, the manifest checked against the id; the other files are not opened.

    Raises:
        ArtifactError: the manifest is missing or a byte of it has changed.
    """
    if not re.fullmatch(r"[0-9a-f]{16}", artifact_id):
        raise ArtifactError(f"the artifact id {artifact_id!r} is not 16 hex digits; give the id that save returned")
    path = folder / artifact_id / MANIFEST
    content = _read(path)
    if _sha256(content)[:16] != artifact_id:
        raise _changed(path)
    said: dict[str, Any] = json.loads(content)
    return Manifest(artifact_id=artifact_id, **said)


def _verified(folder: Path, artifact_id: str) -> tuple[Manifest, Mapping[str, bytes]]:
    manifest = read_manifest(folder, artifact_id)
    # The bytes that were checked are the bytes that are used: a file swapped in between changes nothing.
    contents = {name: _read(folder / artifact_id / name) for name in (ITEMS, WEIGHTS)}
    for name, content in contents.items():
        if _sha256(content) != manifest.files.get(name):
            raise _changed(folder / artifact_id / name)
    return manifest, contents


def _place(folder: Path, artifact_id: str, contents: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / artifact_id).exists():
        _verified(folder, artifact_id)
        return
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))
    try:
        for name, content in contents.items():
            durable.write(draft / name, content)
        draft.chmod(0o755)  # mkdtemp gives it to its owner only; servers run as other users
        _rename(draft, folder / artifact_id)
        durable.sync_folder(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    _verified(folder, artifact_id)


def _rename(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        # Another process may have placed the same artifact in the meantime, and then there is nothing left to do.
        if not target.exists():
            raise


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; restore the folder from a backup or train the arm again") from None


def _changed(path: Path) -> ArtifactError:
    return ArtifactError(f"{path} has changed since it was saved; restore it from a backup or train the arm again")


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
