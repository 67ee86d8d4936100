"""`abp ablate`, as a person uses it: the list, a small ablation end to end, its files, its JSON, and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ab_platform.cli import ablate
from ab_platform.errors import PlatformError
from ab_platform.offline.ablations import ABLATIONS
from ab_platform.storage.store import Store
from tests import small_world

TINY = ("--set", "epochs=2", "--set", "hidden=16", "--set", "latent=8", "--set", "batch=64", "--seeds", "1")


@pytest.fixture
def home(store: Store, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose store holds the small data set."""
    small_world.fill(store)
    monkeypatch.setenv("ABP_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    return tmp_path


def abp(*words: str) -> Result:
    app = typer.Typer()
    ablate.register(app)
    return CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})


def small(*words: str) -> str:
    done = abp(*words, "--dataset", small_world.DATASET, "--device", "cpu", *TINY)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_without_a_name_the_ablations_are_listed_with_what_they_ask(home: Path) -> None:
    lines = abp().stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(ABLATIONS)
    assert all(each.question in abp().stdout for each in ABLATIONS.values())
    assert set(json.loads(abp("--json").stdout)) == set(ABLATIONS)


def test_an_ablation_is_compared_end_to_end_and_a_second_call_only_reads(home: Path, store: Store) -> None:
    first = small("centroid")
    assert first.startswith("centroid: Should all titles of a user pull alike")
    assert "Differences from mean" in first
    assert "inverse popularity (pia): epochs 2, hidden 16, latent 8, batch 64, centroid inverse_popularity" in first
    kept = sorted(path.stat().st_mtime_ns for path in (home / "evaluations").iterdir())
    assert list(store.documents("comparison")) == ["small, ablation centroid"]
    assert small("centroid") == first
    assert sorted(path.stat().st_mtime_ns for path in (home / "evaluations").iterdir()) == kept


def test_the_ablation_of_beta_counts_the_dimensions_in_use(home: Path) -> None:
    printed = small("beta", "--output", str(home / "beta.md"))
    assert "beta 5: " in printed
    assert "of 8 latent dimensions in use" in printed
    found = json.loads(small("beta", "--json"))
    assert found["comparison"]["control"] == "beta 0.2"
    assert [each["arm"] for each in found["active"]] == [arm["label"] for arm in found["comparison"]["arms"]]
    text = (home / "beta.md").read_text()
    assert "beta: How heavy should the KL term be" in text
    assert "- beta 5: " in text
    assert not list((home / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lamda",), "there is no ablation 'lamda'; did you mean 'lambda'?"),
        (("keep", "--dataset", "small", "--set", "keep=0.5"), "keep is what the ablation 'keep' varies"),
        (("keep", "--dataset", "large"), "data set 'large' is not ingested (there: small); run `abp ingest large`"),
    ],
)
def test_an_error_has_the_next_step(home: Path, words: tuple[str, ...], message: str) -> None:
    done = abp(*words)
    assert isinstance(done.exception, PlatformError), done.output
    assert message in str(done.exception)
