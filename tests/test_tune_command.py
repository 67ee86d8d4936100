"""`abp tune`, as a person uses it: the table, the next command, JSON, a search that goes on, and its errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ab_platform.cli import tune
from ab_platform.cli.tune import parse_range, parse_values
from ab_platform.errors import ExperimentError, PlatformError
from ab_platform.offline.protocol import export, of_dataset
from ab_platform.storage.store import Store
from models import registry
from models.code_version import code_version
from models.config import Search
from tests import small_world
from tests.tuning.fake import Fake

SAFE = ("--search", "rate=0.0001..0.5:log", "--search", "size=1..95")


@pytest.fixture
def home(store: Store, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose store holds the small data set, and a recommender that is fitted in no time."""
    small_world.fill(store)
    monkeypatch.setitem(registry.RECOMMENDERS, "fake", "tests.tuning.fake:Fake")
    monkeypatch.setattr(Fake, "trained", [])
    monkeypatch.setenv("ABP_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    return tmp_path


def abp(*words: str) -> Result:
    app = typer.Typer()
    tune.register(app)
    return CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})


def small(*words: str) -> Result:
    done = abp("fake", "--dataset", small_world.DATASET, *words)
    assert done.exit_code == 0, done.output
    return done


def refused(*words: str) -> str:
    """Return what a command is refused for."""
    done = abp(*words)
    assert isinstance(done.exception, PlatformError), done.output
    return str(done.exception)


def test_a_search_prints_its_trials_best_first_and_the_next_command(home: Path) -> None:
    done = small("--trials", "8", "--epochs", "11", *SAFE)
    title, heads, *rows = done.stdout.splitlines()
    assert title == "fake on validation users of small"
    assert heads.split() == ["trial", "rate", "size", "share", "NDCG@100", "epochs", "state"]
    complete = [row.split() for row in rows if row.endswith("complete")]
    scores = [float(row[4]) for row in complete]
    assert len(rows) == 8
    assert scores == sorted(scores, reverse=True)
    assert ["1", "0.1", "20", "0.5"] in [row[:4] for row in complete]
    best = dict(zip(("rate", "size", "share"), complete[0][1:4], strict=True))
    settings = " ".join(f"--set {name}={value}" for name, value in best.items())
    assert f"best: abp train fake --dataset small {settings} --set epochs=11" in done.stderr


def test_the_same_command_again_does_nothing_and_more_trials_go_on(home: Path) -> None:
    first = small("--trials", "4", *SAFE).stdout
    assert small("--trials", "4", *SAFE).stdout == first
    assert len(Fake.trained) == 4
    done = small("--trials", "6", *SAFE)
    assert "trial 6 of 6 complete: NDCG@100" in done.stderr
    assert len(Fake.trained) == 6


def test_machines_get_every_trial_the_best_settings_and_what_mattered(home: Path) -> None:
    found = json.loads(small("--trials", "16", *SAFE, "--json").stdout)
    states = [trial["state"] for trial in found["trials"]]
    assert sorted(trial["number"] for trial in found["trials"]) == list(range(1, 17))
    assert states == sorted(states)
    assert set(found["best"]) <= {"rate", "size", "share"}
    assert sum(found["importances"].values()) == pytest.approx(1)
    assert "what mattered: " in small("--trials", "16", *SAFE).stderr


def test_a_failed_trial_is_told_with_its_reason(home: Path) -> None:
    done = small("--trials", "6", "--search", "rate=0.001..1", "--set", "size=50")
    assert re.search(r"trial \d failed: the loss is nan in epoch 3; it must be finite", done.stderr)
    assert "best: abp train fake" in done.stderr


def test_where_no_trial_is_complete_the_next_step_is_to_look_elsewhere(home: Path) -> None:
    done = small("--trials", "2", "--search", "rate=0.6..1")
    assert "no trial is complete; look for other settings" in done.stderr
    assert json.loads(small("--trials", "2", "--search", "rate=0.6..1", "--json").stdout)["best"] is None


def test_a_search_out_of_time_says_what_is_left(home: Path) -> None:
    done = small("--trials", "4", "--minutes", "0", *SAFE)
    assert "4 of 4 trials have not ended; the same command goes on with them" in done.stderr
    assert Fake.trained == []


def test_a_grid_tries_every_combination_in_place_of_a_search(home: Path) -> None:
    done = small("--try", "rate=0.1,0.01", "--try", "flat=true", "--epochs", "2")
    assert [row.split()[:2] for row in done.stdout.splitlines()[2:]] == [["0.01", "True"], ["0.1", "True"]]
    assert "best: abp train fake --dataset small --set rate=0.01 --set epochs=2 --set flat=True" in done.stderr
    trials = json.loads(small("--try", "rate=0.1,0.01", "--try", "flat=true", "--epochs", "2", "--json").stdout)
    assert [list(trial["curve"]) for trial in trials] == [["1", "2"], ["1", "2"]]
    assert len(Fake.trained) == 2


def test_the_offline_protocol_leaves_trials_where_an_offline_comparison_looks(home: Path, store: Store) -> None:
    done = small("--protocol", "offline", "--trials", "2", *SAFE)
    assert "best: abp evaluate fake --tuned --dataset small" in done.stderr
    offline = of_dataset(store, small_world.DATASET)
    assert len(store.trials("fake", offline.data_hash, code_version("fake"))) == 2
    export(offline, home / "split")
    done = abp("fake", "--from", str(home / "split"), "--trials", "2", *SAFE)
    assert f"best: abp evaluate fake --tuned --from {home / 'split'}" in done.stderr
    assert len(Fake.trained) == 2


def test_the_next_command_repeats_what_decides_the_users_and_the_seed(home: Path) -> None:
    done = small("--trials", "1", "--least-rating", "3", "--hold-back", "0.2", "--seed", "5", *SAFE)
    assert "best: abp train fake --dataset small --least-rating 3 --hold-back 0.2 --seed 5\n" in done.stderr


def test_values_and_ranges_are_read() -> None:
    assert parse_values("keep=0.3,0.5") == ("keep", [0.3, 0.5])
    assert parse_values("reduction=sum, mean") == ("reduction", ["sum", "mean"])
    assert parse_values("batch=100") == ("batch", [100])
    assert parse_range("keep=0.2..0.9") == ("keep", Search(0.2, 0.9))
    assert parse_range("alignment = 1e-2..3:log") == ("alignment", Search(0.01, 3.0, log=True))
    assert parse_range("shift=-1..1") == ("shift", Search(-1.0, 1.0))


@pytest.mark.parametrize("text", ["keep", "keep=0.5", "keep=0.1..", "keep=low..high", "keep=1..2:lin", "=1..2"])
def test_what_is_not_a_range_is_refused(text: str) -> None:
    with pytest.raises(ExperimentError, match=f"'{re.escape(text)}' is not a range; write setting=low..high"):
        parse_range(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fake", "--dataset", "large"), r"data set 'large' is not ingested \(there: small\); run `abp ingest large`"),
        (("fack", "--dataset", "small"), "the recommender 'fack' is unknown; did you mean 'fake'"),
        (("fake", "--dataset", "small", "--set", "rat=1"), "the setting 'rat' is unknown; did you mean 'rate'"),
        (("fake", "--dataset", "small", "--search", "share=0..2"), "share is 2.0; it must be at most 1"),
        (("fake", "--dataset", "small", "--try", "rate=1", "--search", "share=0..1"), "leave one out"),
    ],
)
def test_an_error_has_the_next_step(home: Path, words: tuple[str, ...], message: str) -> None:
    assert re.search(message, refused(*words))


def test_a_protocol_that_is_none_is_a_usage_error(home: Path) -> None:
    done = abp("fake", "--protocol", "online")
    assert done.exit_code == 2
    assert "'online' is not one of experiment, offline" in done.output
