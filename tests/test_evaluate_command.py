"""`abp evaluate`, as a person uses it: a small comparison end to end, its files, its JSON, and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ab_platform.cli import evaluate
from ab_platform.cli.evaluate import parse_arm
from ab_platform.documents import restored
from ab_platform.errors import ExperimentError, PlatformError
from ab_platform.offline.arms import OfflineArm
from ab_platform.offline.results import Comparison
from ab_platform.storage.store import Store
from tests import small_world
from tests.offline import fakes

TINY = "epochs=2,hidden=16,latent=8,batch=64"


@pytest.fixture
def home(store: Store, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose store holds the small data set, and recommenders that are fitted in no time."""
    small_world.fill(store)
    fakes.register(monkeypatch)
    monkeypatch.setenv("ABP_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    return tmp_path


def abp(*words: str) -> Result:
    app = typer.Typer()
    evaluate.register(app)
    return CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})


def small(*words: str) -> Result:
    return abp(*words, "--dataset", small_world.DATASET)


def refused(*words: str) -> str:
    """Return what a command is refused for."""
    done = abp(*words)
    assert isinstance(done.exception, PlatformError), done.output
    return str(done.exception)


@pytest.mark.parametrize(
    ("text", "arm"),
    [
        ("ease", OfflineArm("ease", "ease", {})),
        ("pia:alignment=0.3,batch=100", OfflineArm("pia", "pia", {"alignment": 0.3, "batch": 100})),
        ("clean=multi_vae:keep=1", OfflineArm("clean", "multi_vae", {"keep": 1})),
        ("own name = pia : anchors = tied", OfflineArm("own name", "pia", {"anchors": "tied"})),
    ],
)
def test_an_arm_is_a_name_with_settings_and_a_label_where_wanted(text: str, arm: OfflineArm) -> None:
    assert parse_arm(text) == arm


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no arm; write label=recommender:setting=value"),
        ("clean=", "'clean=' is no arm"),
        ("=pia", "'=pia' is no arm"),
        ("pia:alignment", "'alignment' is not a setting; write setting=value"),
    ],
)
def test_an_arm_that_is_not_whole_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        parse_arm(text)


def test_arms_are_compared_end_to_end_and_a_second_call_only_reads(home: Path) -> None:
    words = ("popularity", f"multi_vae:{TINY}", f"mine=pia:{TINY}", "--seeds", "1,2")
    first = small(*words)
    assert first.exit_code == 0, first.output
    assert "small: ratings from 4" in first.stdout
    for heading in ("Scores on the test users", "Differences from multi_vae", "Recall@20 by a user's interactions"):
        assert heading in first.stdout
    assert "popularity" in first.stdout
    assert "mine (pia): epochs 2, hidden 16, latent 8, batch 64; seeds 1, 2" in first.stdout
    kept = sorted(path.stat().st_mtime_ns for path in (home / "evaluations").iterdir())
    assert small(*words).stdout == first.stdout
    assert sorted(path.stat().st_mtime_ns for path in (home / "evaluations").iterdir()) == kept
    assert not list((home / "checkpoints").iterdir())


def test_tables_are_not_cut_where_there_is_no_terminal(home: Path) -> None:
    assert "…" not in small("steady", "noisy:noise=0.2", "--seeds", "1,2").stdout


def test_json_holds_the_comparison(home: Path) -> None:
    found = json.loads(small("steady", "noisy:noise=3", "--seeds", "4,5", "--json").stdout)
    assert (found["control"], found["split"]["test_users"]) == ("steady", 40)
    assert [arm["seeds"] for arm in found["arms"]] == [[], [4, 5]]
    main = next(each for each in found["differences"] if each["metric"] == "ndcg_100")
    assert (main["arm"], main["verdict"], main["paired"]["seeds"]) == ("noisy", "worse", 2)


def test_the_comparison_is_kept_for_the_dashboard_under_the_data_sets_name_or_one_of_its_own(
    home: Path, store: Store
) -> None:
    words = ("steady", "noisy:noise=3", "--seeds", "4,5", "--json")
    printed = json.loads(small(*words).stdout)
    kept = store.document("comparison", "small")
    assert kept is not None
    assert kept.content == printed
    found = restored(Comparison, kept)
    assert found.of_metric("ndcg_100")[0].verdict == "worse"
    assert [len(curve) for curve in found.arm("noisy").curves] == [2, 2]
    assert found.arm("noisy").settings == {"noise": 3.0}
    small(*words, "--name", "noise at 3")
    assert set(store.documents("comparison")) == {"small", "noise at 3"}


def test_a_section_and_its_picture_are_written(home: Path) -> None:
    done = small("steady", "noisy:noise=3", "--seeds", "1", "-o", str(home / "offline.md"))
    assert "offline.svg" in done.stderr.replace("\n", "")
    text = (home / "offline.md").read_text()
    assert "![Differences from steady](offline.svg)" in text
    assert (home / "offline.svg").read_text().startswith("<svg")


def test_one_arm_by_itself_has_no_picture(home: Path) -> None:
    small("steady", "-o", str(home / "offline.md"))
    assert "![" not in (home / "offline.md").read_text()
    assert not (home / "offline.svg").exists()


def test_a_split_is_exported_and_its_files_give_the_same_figures(home: Path) -> None:
    exported = small("--export", str(home / "pro_sg"))
    assert (exported.exit_code, exported.stdout) == (0, "")
    assert "wrote the split of small to" in exported.stderr
    words = ("steady", "noisy:noise=0.3", "--seeds", "1", "--json")
    own, read = json.loads(small(*words).stdout), json.loads(abp(*words, "--from", str(home / "pro_sg")).stdout)
    assert read["split"]["dataset"] == "pro_sg"
    for part in ("arms", "differences", "groups"):
        assert read[part] == own[part]
    assert len(list((home / "evaluations").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["popularity", "--dataset", "ml-1m"],
            "data set 'ml-1m' is not ingested (there: small); run `abp",
        ),
        (["piaa"], "arm piaa: the recommender 'piaa' is unknown; did you mean 'pia'?"),
        (["pia:alignmnt=1"], "arm pia: the setting 'alignmnt' is unknown; did you mean 'alignment'?"),
        (["steady", "--against", "pia"], "no arm is called 'pia' to compare the others with"),
        (["steady", "--seeds", "one"], "--seeds one is no list of whole numbers; write --seeds 1,2,3"),
        (["noisy", "--tuned"], "noisy has no trial on this split of small"),
        (["noisy:noise=2000"], "arm noisy, seed 1: the loss is nan in epoch 1"),
        (["noisy:noise=1000"], "arm noisy, seed 1: a score is not a number"),
        (["steady", "--test-users", "399"], "small has 400 users under"),
        ([], "there is no arm to evaluate"),
    ],
)
def test_an_error_says_the_next_step(home: Path, words: list[str], message: str) -> None:
    dataset = [] if "--dataset" in words else ["--dataset", small_world.DATASET]
    assert message in refused(*words, *dataset)


def test_the_help_has_examples() -> None:
    text = " ".join(abp("--help").stdout.split())
    assert "Example: abp evaluate popularity multi_vae pia" in text
    assert 'abp evaluate multi_vae "clean=multi_vae:keep=1"' in text
