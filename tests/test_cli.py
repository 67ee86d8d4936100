"""The command line, as a person uses it: verbs, tables, JSON, one-line errors with the next step, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ab_platform.cli.main import app
from ab_platform.experiment import RampStep
from ab_platform.experiment_file import dump
from models.registry import RECOMMENDERS
from tests.killed import EXPERIMENT as KILLED

ROOT = Path(__file__).parent.parent
VERBS = (
    *("demo", "simulate", "ingest", "attributes", "arms", "train", "tune", "evaluate", "ablate", "geometry"),
    *("power", "launch", "ramp", "stop", "assign"),
    *("replay", "analyze", "status", "report", "looks", "advance", "decide", "alerts"),
    *("roll-up", "assignments", "retain", "erase", "airflow", "answer"),
)
SMALL = ["--set", "multi_vae.epochs=2", "--set", "pia.epochs=2", "--set", "multi_vae.hidden=8", "--set", "pia.hidden=8"]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def abp(tmp_path: Path) -> Run:
    """Run `abp` in an empty folder with an empty home and no data."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ABP_")}
    environment |= {"HOME": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT)}

    def run(*words: str, exit_code: int = 0, **changed: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from ab_platform.cli.main import main; main()", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment | changed, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == exit_code, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.mark.parametrize("verb", [*VERBS, "migrate", "dashboard"])
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    shown = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200"}).invoke(app, [verb, "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"Example:.*abp {verb}", shown.stdout, re.DOTALL)


def test_every_recommender_is_listed_with_its_settings(abp: Run) -> None:
    listed = json.loads(abp("arms", "--json").stdout)
    assert listed.keys() == RECOMMENDERS.keys()
    assert re.search(r"alignment +0.3 +0.01 to 3, log", abp("arms", "pia").stdout)
    assert "did you mean 'ease'" in abp("arms", "eas", exit_code=1).stderr


@pytest.mark.timeout(600)
def test_an_experiment_from_nothing_to_a_report(abp: Run, tmp_path: Path) -> None:
    ingested = json.loads(abp("ingest", "synthetic", "--json").stdout)
    assert ingested["changed"] is True
    assert "nothing changed" in abp("ingest", "synthetic").stderr

    options = ["launch", "--control", "multi_vae", "--treatment", "pia", "--dataset", "synthetic", *SMALL]
    planned = json.loads(abp(*options, "--dry-run", "--json").stdout)
    assert [arm["artifact"] for arm in planned["arms"]] == [None, None]
    assert sum(arm["users"] for arm in planned["arms"]) == planned["population"]
    assert json.loads(abp("status", "--json").stdout) == []
    launched = abp(*options)
    assert "to be trained" in launched.stdout
    assert re.search(r"a lift of \+\d+\.\d% in home_card.play_duration is found with power 80%", launched.stderr)
    key = "pia-vs-multi-vae"
    written = tmp_path / ".abp" / "experiments" / f"{key}.toml"
    assert "stands" in abp("launch", str(written)).stderr

    assert re.search(r"bucket \d+ in layer 'recommender'.*arm: (multi_vae|pia)", abp("assign", key, "u1").stdout, re.S)
    assert "new events" in abp("replay", key).stderr
    assert " 0 new events" in abp("replay", key).stderr
    table = abp("analyze", key).stdout
    assert "Home Card" in table
    assert "Movie Card" in table
    assert abp("report", key).stdout == table
    rows = json.loads(abp("analyze", key, "--json").stdout)
    assert rows == json.loads(abp("report", key, "--json").stdout)
    for form, mark in (("markdown", "|"), ("html", "<html"), ("latex", r"\toprule")):
        assert mark in abp("report", key, "--format", form).stdout
    abp("report", key, "--format", "html", "-o", "report.html")
    assert "<html" in (tmp_path / "report.html").read_text()

    assert "traffic is 50%" in abp("ramp", key, "0.5", "--reason", "half").stderr
    advanced = abp("advance", key).stderr
    assert "step 1 of 1, traffic 100 %" in advanced
    assert "the planned end is reached; decide: `abp decide" in advanced
    assert "end_reached" in abp("alerts").stdout
    assert f"decide: abp decide {key}" in abp("decide", key).stderr
    assert "is stopped" in abp("stop", key, "--reason", "done").stderr
    shown = abp("status", key).stdout
    assert all(word in shown for word in ("launch", "replay", "ramp", "half", "stop", "done"))
    again = json.loads(abp(*options, "--dry-run", "--json").stdout)
    assert again["experiment"]["key"] == f"{key}-2"
    [row] = again["power"]["rows"]
    assert row["variation"]["source"].startswith(f"measured in {key}")
    assert all(arm["artifact"] for arm in again["arms"])


@pytest.mark.timeout(600)
def test_one_command_takes_an_experiment_through_its_ramp_to_the_decision(abp: Run, tmp_path: Path) -> None:
    abp("ingest", "synthetic")
    file = tmp_path / "ramped.toml"
    file.write_text(dump(replace(KILLED, key="ramped", salt="", ramp=(RampStep(0.5),), least_quality=0.1)))
    done = abp("launch", str(file), "--visits", "replay", "--approval", "rule")
    assert "ramp, days: 1 at 50 %, 6 at 100 %" in done.stdout
    assert "Home Card" in done.stdout
    assert re.search(r"ramped (keeps multi_vae|ships pia), decided by the rule", done.stderr)
    log = json.loads(abp("status", "ramped", "--json").stdout)["changes"]
    actions = [change["action"] for change in log if change["action"] != "replay"]
    assert actions == ["launch", "gate", "ramp", "decide", "stop"]


@pytest.mark.timeout(600)
def test_the_demo_without_data_or_network_runs_on_synthetic_data_and_says_so_and_a_second_run_changes_nothing(
    abp: Run,
) -> None:
    nowhere = {"https_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    first = abp("demo", **nowhere)
    assert "ml-1m cannot be had" in first.stderr
    assert "synthetic data" in first.stderr
    assert "pia-vs-multivae-synthetic" in first.stdout
    assert abp("demo", **nowhere).stdout == first.stdout


def test_tuning_prints_the_trials_and_the_next_command(abp: Run) -> None:
    abp("ingest", "synthetic")
    small = ["--dataset", "synthetic", "--set", "epochs=2", "--set", "hidden=8"]
    tuned = abp("tune", "pia", "--try", "alignment=0.1,1", *small)
    assert "NDCG@100" in tuned.stdout
    assert re.search(r"best: abp train pia --dataset synthetic.*--set alignment=(0.1|1.0)", tuned.stderr)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["status", "nothing"], r"abp: .*nothing"),
        (["launch"], r"abp: nothing to launch; give an experiment file, or --control and --treatment"),
        (["launch", "nowhere.toml"], r"abp: nowhere.toml is not a file"),
        (["train", "pia"], r"abp: data set 'ml-1m' is not ingested \(there: none\); run `abp ingest ml-1m`"),
        (["train", "pia", "--set", "alignment"], r"abp: 'alignment' is not a setting; write setting=value"),
        (["ingest", "ml-1n"], r"abp: .*did you mean 'ml-1m'"),
        (["ingest", "ml-1m", "--no-download"], r"abp: .*ml-1m"),
        (["analyze", "nothing"], r"abp: .*nothing"),
    ],
)
def test_an_error_is_one_line_with_the_next_step(abp: Run, words: list[str], message: str) -> None:
    lines = [line for line in abp(*words, exit_code=1).stderr.splitlines() if line.strip()]
    assert re.match(message, lines[-1]), lines
    assert sum(line.startswith("abp:") for line in lines) == 1


def test_a_wrong_option_is_a_usage_error(abp: Run) -> None:
    assert "--fromat" in abp("report", "x", "--fromat", "html", exit_code=2).stderr


def test_a_database_that_is_away_is_one_line_without_its_password(abp: Run) -> None:
    url = "postgresql://someone:secret@127.0.0.1:1/abp"
    done = abp("status", exit_code=1, ABP_DATABASE_URL=url)
    assert done.stderr.startswith("abp: ")
    assert "secret" not in done.stderr


def test_the_help_of_the_program_needs_no_heavy_library(abp: Run) -> None:
    code = (
        "import sys; from ab_platform.cli import main; "
        "print({'torch', 'pandas', 'sqlalchemy', 'ibis', 'statsmodels', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
