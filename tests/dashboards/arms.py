"""Write what the pages on arms read: trained arms, a comparison, latent spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import numpy as np

from ab_platform.documents import Document, plain
from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.latent_findings import LatentSpaces
from ab_platform.lineage import Artifact, Launch, Recipe, Trial
from ab_platform.offline.arms import OfflineArm, runs
from ab_platform.offline.comparing import compare
from ab_platform.offline.results import Comparison
from ab_platform.storage.store import Store
from ab_platform.training_log import Training
from tests.dashboards.stored import STARTS_AT
from tests.offline import made
from tests.reporting.latent_made import FINDINGS, some_plane

KEY = "pia-vs-multivae"
DATASET = "small"
DATA_HASH, CODE_VERSION = "d" * 64, "c" * 64
CONFIGS: Mapping[str, Mapping[str, float]] = {"multi_vae": {"latent": 100}, "pia": {"latent": 100, "alignment": 0.3}}
SCORES: Mapping[str, float] = {"popularity": 0.2176, "multi_vae": 0.3843, "pia": 0.3963}
CURVE = (0.2, 0.3, 0.35, 0.34)


def launch(store: Store, *, scores: Mapping[str, float] = SCORES, fallback: bool = True) -> Launch:
    """Launch an experiment whose arms were trained, beside popularity; without scores, nothing is known of them."""
    with store.ingesting(DATASET, "e" * 64, "made by a test", STARTS_AT) as writer:
        writer.write_interactions(["u", "v"], ["s", "t"], np.full(2, 5.0), np.arange(2, dtype=np.int64))
        writer.finish(0)
    for name in ("popularity", *CONFIGS):
        register(store, name, scores=scores)
    arms = tuple(Arm(name, name, 0.5, control=name == "multi_vae", config=config) for name, config in CONFIGS.items())
    launched = Launch(
        experiment=Experiment(KEY, DataRule(DATASET), arms),
        artifacts={name: artifact_id(name) for name in CONFIGS},
        state="running",
        traffic=0.5,
        launched_at=STARTS_AT,
        starts_at=STARTS_AT,
        ends_at=STARTS_AT + timedelta(days=7),
        fallback=artifact_id("popularity") if fallback else None,
    )
    store.launch(launched)
    return launched


def register(store: Store, name: str, *, scores: Mapping[str, float] = SCORES, data_hash: str = DATA_HASH) -> None:
    """Register the artifact of an arm."""
    named = {"validation_ndcg_100": scores[name], "validation_recall_20": 0.25} if scores else {}
    store.register(Artifact(artifact_id(name), recipe(name, data_hash=data_hash), named, STARTS_AT))


def artifact_id(name: str) -> str:
    return f"{name:0<16}"


def recipe(name: str, *, data_hash: str = DATA_HASH, **changed: float) -> Recipe:
    config = {**CONFIGS.get(name, {}), "keep": 0.5, **changed}
    return Recipe(name, config, 0, DATASET, data_hash, CODE_VERSION)


def train(store: Store) -> None:
    """Keep how both arms were trained."""
    for name in CONFIGS:
        log = Training(3, 4, SCORES[name], 1.5, "cpu", "float32", {}, CURVE, 60)
        store.write_document(Document("training", artifact_id(name), STARTS_AT, plain(log)))


def tune(store: Store) -> None:
    """Keep a trial of the treatment with another setting."""
    tried = recipe("pia", alignment=1.0)
    store.record_trial(Trial(tried, 0.33, STARTS_AT, {1: 0.21, 2: 0.33}))


def comparison() -> Comparison:
    """Compare arms on made scores: the treatment is ahead by 0.03, EASE is even, popularity far behind."""
    shifts = {"popularity": -0.2, "ease": 0.0, "multi_vae": 0.0, "pia": 0.03}
    arms = [OfflineArm(name, name, {}) for name in shifts]
    rng = np.random.default_rng(8)
    common = rng.uniform(0.3, 0.6, made.USERS)
    planned = runs(arms, (1, 2, 3))
    found = [made.evaluation(run, common + shifts[run.arm.label] + rng.normal(0, 0.02, made.USERS)) for run in planned]
    judged = [replace(each, training=replace(each.training, best_epoch=3, curve=CURVE)) for each in found]
    return compare(made.split(), planned, judged, control="multi_vae")


def write_comparison(store: Store, found: Comparison | None = None, *, name: str = DATASET) -> Comparison:
    """Store a comparison on the experiment's data set."""
    written = found or made.renamed(comparison(), DATASET)
    store.write_document(Document("comparison", name, STARTS_AT, plain(written)))
    return written


def write_latent(store: Store, *, name: str = DATASET, masks: int = 5) -> LatentSpaces:
    """Store latent spaces, of which the second arm is the experiment's treatment."""
    control, treatment = FINDINGS.arms
    arms = (control, replace(treatment, artifact_id=artifact_id("pia")))
    written = LatentSpaces(replace(FINDINGS, dataset=name, arms=arms), some_plane(masks=masks, anchored=True))
    store.write_document(Document("geometry", name, STARTS_AT, plain(written)))
    return written
