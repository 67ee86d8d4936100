"""`abp geometry`, and how it finds, loads and compares arms."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from ab_platform.cli import geometry as verb
from ab_platform.documents import restored
from ab_platform.errors import DataError, ExperimentError, NotFoundError, PlatformError
from ab_platform.experiment import Arm, DataRule
from ab_platform.geometry import LatentSpaces, contractions, find_or_train, lay_out, load_arms, look
from ab_platform.lineage import Artifact
from ab_platform.storage.store import Store
from ab_platform.training import Snapshot, Workshop, snapshot, train
from models.geometry import Effort
from tests import small_world

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULE = DataRule(small_world.DATASET, least_rating=4.0, hold_back=0.3)
QUICK = Effort(users=50, masks=3, curved=5, probes=2, pairs=100, shared=3, draws=2)


@pytest.fixture(autouse=True)
def few_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay out so few users that it takes no time."""
    monkeypatch.setattr("ab_platform.geometry.COHORT_USERS", 4)


@pytest.fixture
def snap(store: Store) -> Snapshot:
    small_world.fill(store)
    return snapshot(store, RULE)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "artifacts", tmp_path / "checkpoints", device="cpu", precision="float32")


class Bench:
    """Trains small arms, each a minute after the one before."""

    def __init__(self, store: Store, workshop: Workshop, snap: Snapshot) -> None:
        self.store, self.workshop, self.snap, self._minute = store, workshop, snap, 0

    def train(self, recommender: str, seed: int = 0, **changed: float) -> Artifact:
        config = {} if recommender == "popularity" else {**small_world.TINY, **changed}
        self._minute += 1
        arm = Arm(recommender, recommender, 1.0, config=config, seed=seed)
        return train(self.store, self.workshop, self.snap, arm, at=NOW.replace(minute=self._minute))

    def find(self, name: str) -> Artifact:
        return find_or_train(self.store, self.workshop, self.snap, name, at=NOW)

    def labels(self, *artifacts: Artifact) -> list[str]:
        return [arm.label for arm in load_arms(self.workshop, self.snap, artifacts)]


@pytest.fixture
def bench(store: Store, workshop: Workshop, snap: Snapshot) -> Bench:
    return Bench(store, workshop, snap)


def test_the_newest_artifact_of_a_recommender_whose_files_are_there_is_taken(bench: Bench) -> None:
    bench.train("pia")
    older, newer = bench.train("multi_vae"), bench.train("multi_vae", seed=1)
    assert bench.find("multi_vae") == newer
    (bench.workshop.artifacts / newer.artifact_id).rename(bench.workshop.artifacts / "gone")
    assert bench.find("multi_vae") == older
    assert bench.find(older.artifact_id) == older


def test_a_recommender_that_was_never_trained_is_trained_with_its_defaults(bench: Bench) -> None:
    found = bench.find("popularity")
    assert found.recipe.data_hash == bench.snap.data_hash
    assert bench.find("popularity") == found
    with pytest.raises(ExperimentError, match="the recommender 'multivae' is unknown; did you mean 'multi_vae'"):
        bench.find("multivae")


def test_an_artifact_of_other_data_is_refused(bench: Bench) -> None:
    artifact = bench.train("multi_vae")
    other = snapshot(bench.store, replace(RULE, hold_back=0.5))
    with pytest.raises(DataError, match=r"learned from other interactions \(small\) than those of small now; give the"):
        find_or_train(bench.store, bench.workshop, other, artifact.artifact_id, at=NOW)
    with pytest.raises(NotFoundError, match="artifact '0000000000000000' is not registered"):
        bench.find("0" * 16)


def test_labels_tell_arms_of_one_recommender_apart_by_what_differs(bench: Bench) -> None:
    clean, masked, pia = bench.train("multi_vae", keep=1.0), bench.train("multi_vae"), bench.train("pia")
    assert bench.labels(clean, masked, pia) == ["multi_vae keep 1.0", "multi_vae keep 0.5", "pia"]
    assert bench.labels(masked, bench.train("multi_vae", seed=3)) == ["multi_vae seed 0", "multi_vae seed 3"]


def test_an_arm_without_a_posterior_and_an_arm_named_twice_are_refused(bench: Bench) -> None:
    with pytest.raises(DataError, match="popularity has no posterior, so no latent geometry"):
        bench.labels(bench.train("popularity"))
    artifact = bench.train("multi_vae")
    with pytest.raises(DataError, match=f"artifact {artifact.artifact_id} is asked for twice"):
        bench.labels(artifact, artifact)


def test_an_arm_with_anchors_is_compared_with_the_first_that_masks_move(bench: Bench) -> None:
    clean, pia, masked = bench.train("multi_vae", keep=1.0), bench.train("pia"), bench.train("multi_vae")
    found = look(load_arms(bench.workshop, bench.snap, (clean, pia, masked)), bench.snap, effort=QUICK)
    (contraction,) = found.contractions
    measured = {arm.arm: arm.geometry for arm in found.arms}
    assert (contraction.control, contraction.arm) == ("multi_vae keep 0.5", "pia")
    control, arm = measured["multi_vae keep 0.5"], measured["pia"]
    assert contraction.variance_ratio == arm.variance / control.variance
    assert contraction.distance_ratio == arm.fitted_distance / control.fitted_distance
    assert contraction.tau_before == control.curvature.mean / (control.curvature.mean + 2 * arm.pull)
    assert contraction.tau_after == arm.curvature.mean / (arm.curvature.mean + 2 * arm.pull)
    assert contraction.tau_bound == arm.curvature.top / (arm.curvature.top + 2 * arm.pull)
    assert contractions([each for each in found.arms if each.arm != "multi_vae keep 0.5"]) == []


def test_the_groups_are_those_of_the_platform(bench: Bench) -> None:
    found = look(load_arms(bench.workshop, bench.snap, [bench.train("multi_vae")]), bench.snap, effort=QUICK)
    assert [group.group for group in found.arms[0].geometry.groups] == ["5-10"]


def test_the_plane_shows_each_arm_as_trained_and_whole_histories_first(bench: Bench) -> None:
    masked, pia, clean = bench.train("multi_vae"), bench.train("pia"), bench.train("multi_vae", keep=1.0)
    stand_in = lay_out(load_arms(bench.workshop, bench.snap, (masked, pia)), bench.snap, seed=0)
    assert [(panel.arm, panel.condition) for panel in stand_in.panels] == [
        ("multi_vae", "whole histories, though trained with masks"),
        ("multi_vae", "masks that keep 50 %"),
        ("pia", "masks that keep 50 %"),
    ]
    assert [np.shape(panel.points) for panel in stand_in.panels] == [(1, 12, 2), (5, 12, 2), (5, 12, 2)]
    assert [panel.centroids is None for panel in stand_in.panels] == [True, True, False]
    assert np.array(stand_in.panels[2].centroids).shape == (12, 2)
    done: list[tuple[int, int]] = []
    arms = load_arms(bench.workshop, bench.snap, (masked, clean))
    panels = lay_out(arms, bench.snap, seed=0, on_step=lambda *step: done.append(step)).panels
    assert [panel.condition for panel in panels] == ["trained on whole histories", "masks that keep 50 %"]
    assert done == [(1, 2), (2, 2)]


@pytest.fixture
def home(bench: Bench, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with two small trained arms."""
    bench.train("multi_vae")
    bench.train("pia")
    monkeypatch.setenv("ABP_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    return tmp_path


def abp(*words: str) -> Result:
    app = typer.Typer()
    verb.register(app)
    options = ["--dataset", small_world.DATASET, "--device", "cpu", "--users", "30", "--masks", "3"]
    return CliRunner().invoke(app, [*options, *words], env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_tables_page_and_pictures_are_written(home: Path) -> None:
    done = abp("multi_vae", "pia", "--output", str(home / "out"))
    assert done.exit_code == 0, done.output
    for heading in ("Across masks", "What alignment contracts", "Pairs of users"):
        assert f"{heading}, small" in done.stdout
    page = (home / "out" / "geometry.md").read_text(encoding="utf-8")
    assert "## Across masks" in page
    for picture in ("plane.svg", "variances.svg", "distances.svg"):
        assert f"({picture})" in page
        assert (home / "out" / picture).read_text(encoding="utf-8").startswith("<svg")


def test_json_holds_every_figure(home: Path) -> None:
    found = json.loads(abp("multi_vae", "pia", "--json", "--keep", "0.8").stdout)
    assert [(arm["arm"], arm["geometry"]["keep"]) for arm in found["arms"]] == [("multi_vae", 0.8), ("pia", 0.8)]
    assert found["arms"][0]["geometry"]["centroid_distance"] is None
    assert found["contractions"][0]["control"] == "multi_vae"


def test_what_is_found_is_kept_for_the_dashboard_as_it_was(home: Path, store: Store) -> None:
    printed = json.loads(abp("multi_vae", "pia", "--json").stdout)
    kept = store.document("geometry", small_world.DATASET)
    assert kept is not None
    assert kept.content["findings"] == printed
    found = restored(LatentSpaces, kept)
    assert [arm.arm for arm in found.findings.arms] == ["multi_vae", "pia"]
    assert [panel.centroids is None for panel in found.plane.panels] == [True, True, False]
    abp("multi_vae", "pia", "--name", "small, two arms")
    assert set(store.documents("geometry")) == {small_world.DATASET, "small, two arms"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["popularity"], "popularity has no posterior"),
        (["multi_vae", "--keep", "0"], "keep is 0.0; it must be above 0"),
        (["multi_vae", "--masks", "1"], "masks is 1; it must be at least 2"),
        (["multi_vae", "--hold-back", "0.99"], "leaves 0 users to train on"),
    ],
)
def test_what_cannot_be_done_is_one_line(home: Path, words: list[str], said: str) -> None:
    done = abp(*words)
    assert isinstance(done.exception, PlatformError), done.output
    assert said in str(done.exception)
