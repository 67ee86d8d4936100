"""Every DAG run in this process on a small data set, against what the command line's use cases give."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ab_platform import analysis, launching
from ab_platform.conduct.closing import decided
from ab_platform.conduct.course import replay_course
from ab_platform.errors import DataError
from ab_platform.experiment import Experiment
from ab_platform.experiment_file import dump
from ab_platform.settings import Settings, from_environment
from ab_platform.storage.archive import Archive
from ab_platform.storage.store import Store, open_store
from ab_platform.training import Workshop, snapshot
from models.artifact import read_manifest
from tests.dags.conftest import Loaded, Run
from tests.small_world import EXPERIMENT, NOW, fill

pytestmark = pytest.mark.xdist_group("airflow")

KEY = EXPERIMENT.key


def form(experiment: Experiment = EXPERIMENT, **changed: Any) -> dict[str, Any]:
    return {"definition": dump(experiment), "visits": "replay", "approval": "rule", **changed}


@pytest.fixture
def data(platform: Store) -> Store:
    fill(platform)
    return platform


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Path:
    """A home in which the experiment was launched and replayed in process, made once, to copy."""
    home = from_environment({"ABP_HOME": str(tmp_path_factory.mktemp("replayed"))})
    shutil.copyfile(migrated_file, home.home / "abp.db")
    with closing(open_store(home.database_url, migrate=False)) as store:
        fill(store)
        workshop = Workshop(home.artifacts, home.checkpoints)
        launching.launch(store, workshop, EXPERIMENT, snapshot(store, EXPERIMENT.data), at=NOW)
        replay_course(store, workshop, KEY, seed=0, now=NOW)
    return home.home


@pytest.fixture
def launched(replayed: Path, home: Settings) -> Iterator[Store]:
    """The experiment, launched and replayed."""
    shutil.copytree(replayed, home.home, dirs_exist_ok=True)
    with closing(open_store(home.database_url, migrate=False)) as store:
        yield store


def test_an_experiment_runs_to_its_decision_with_the_lifts_of_the_same_run_in_process(
    run: Run, data: Store, other_store: Store, tmp_path: Path
) -> None:
    done = run("run_experiment", **form())
    assert done.state == "success"
    assert done.of("train_arm") == ["success", "success"]
    assert [name for name in done.tasks if name.startswith("train_arm")] == ["train_arm[multi_vae]", "train_arm[pia]"]
    assert [done.tasks[f"step_{number}.visits"] for number in range(1, 6)] == [*["success"] * 3, *["skipped"] * 2]
    assert done.tasks["approve"] == "skipped"

    fill(other_store)
    workshop = Workshop(tmp_path / "other" / "artifacts", tmp_path / "other" / "checkpoints")
    launching.launch(other_store, workshop, EXPERIMENT, snapshot(other_store, EXPERIMENT.data), at=NOW)
    replay_course(other_store, workshop, KEY, seed=0, now=NOW)
    in_process = analysis.analyze(other_store, KEY)
    on_airflow = analysis.readout(data, KEY)
    assert on_airflow.lifts == in_process.lifts
    assert on_airflow.sample_ratios == in_process.sample_ratios
    assert on_airflow.truths == in_process.truths
    assert any(row.lift is not None for row in on_airflow.lifts)

    actions = [change.action for change in data.changes(KEY) if change.action != "replay"]
    assert actions == ["launch", "gate", "ramp", "gate", "ramp", "decide", "stop"]
    stands = decided(data, KEY)
    assert stands is not None
    assert stands.by == "the rule"


def test_a_second_run_of_the_same_definition_changes_nothing(run: Run, data: Store) -> None:
    at_once = form(replace(EXPERIMENT, ramp=()))
    run("run_experiment", **at_once)
    before = (data.changes(KEY), analysis.readout(data, KEY), data.artifacts())
    assert run("run_experiment", **at_once).state == "success"
    assert (data.changes(KEY), analysis.readout(data, KEY), data.artifacts()) == before


def test_an_arm_below_its_quality_gate_never_serves(run: Run, data: Store) -> None:
    done = run("run_experiment", **form(replace(EXPERIMENT, least_quality=50.0)))
    assert done.state == "failed"
    assert set(done.of("quality_gate")) == {"failed"}
    assert done.tasks["launch"] == "upstream_failed"
    assert data.experiments() == ()


def test_a_gate_that_does_not_pass_stops_the_experiment_and_lets_nobody_else_in(
    run: Run, launched: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = replace(EXPERIMENT, key="stopped-run", salt="", layer="other")
    monkeypatch.setattr("ab_platform.conduct.gate.alarms", lambda readout: ["sample ratio of all: made to alarm"])
    done = run("run_experiment", **form(experiment))
    assert done.state == "success"
    assert (done.tasks["step_1.gate"], done.tasks["step_2.ramp"], done.tasks["decide"]) == ("skipped",) * 3
    stopped = launched.experiment("stopped-run")
    assert (stopped.state, stopped.traffic) == ("stopped", 0.3)
    assert "made to alarm" in str(launched.changes("stopped-run")[-1].reason)


def test_on_live_visits_a_step_is_waited_for_and_nothing_is_replayed(run: Run, launched: Store) -> None:
    before = launched.changes(KEY)
    done = run("run_experiment", **form(visits="live"))  # its days are over, so that nothing is left to wait for
    assert done.state == "success"
    assert [done.tasks[f"step_{number}.visits"] for number in (1, 2, 3)] == ["success"] * 3
    assert [change.action for change in launched.changes(KEY)[len(before) :]] == ["decide", "stop"]


def test_arms_seeds_and_epochs_say_what_is_trained(run: Run, data: Store) -> None:
    done = run("train_arms", definition=dump(EXPERIMENT), arms=["pia"], seeds=[1, 2], epochs=1)
    assert done.state == "success"
    assert sorted(name for name in done.tasks if name.startswith("train_arm")) == [
        "train_arm[pia, seed 1]",
        "train_arm[pia, seed 2]",
    ]
    recipes = sorted((artifact.recipe for artifact in data.artifacts()), key=lambda made: made.seed)
    assert [(made.recommender, made.seed, made.config["epochs"]) for made in recipes] == [("pia", 1, 1), ("pia", 2, 1)]
    run("train_arms", definition=dump(EXPERIMENT), arms=["pia"], seeds=[1, 2], epochs=1)
    assert len(data.artifacts()) == 2


def test_several_processes_share_a_training_where_the_settings_say_so(
    run: Run, data: Store, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABP_GPUS", "2")
    assert run("train_arms", definition=dump(EXPERIMENT), arms=["pia"], epochs=2).state == "success"
    [made] = data.artifacts()
    assert read_manifest(home.artifacts, made.artifact_id).device.endswith(" x 2")


@pytest.mark.parametrize(
    ("dag", "conf", "words"),
    [
        ("run_experiment", {"visits": "nonsense"}, "Choose live, replay or auto"),
        ("run_experiment", {"replay_seed": -1}, "A whole number from 0"),
        ("run_experiment", {"experiment": "none.toml"}, "choose one of the names in the list"),
        ("train_arms", {"epochs": 0}, "A whole number from 1 to 10000"),
        ("train_arms", {"seeds": ["one"]}, "Whole numbers from 0"),
        ("retention", {"days": 0}, "A whole number from 1 to 3650"),
        ("assign_users", {"experiment": "Not A Key"}, "The key of a launched experiment"),
        ("analyze_experiments", {"as_of": "yesterday"}, "A day such as 2026-03-07"),
    ],
)
def test_bad_params_are_refused_with_what_to_type(
    run: Run, home: Settings, dag: str, conf: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match="Invalid input for param") as refused:
        run(dag, **conf)
    said = re.sub(r"'\n\s+'", "", str(refused.value))  # a long line is broken into several strings
    assert words in said


def test_a_broken_definition_fails_with_its_line_and_is_not_tried_again(run: Run, data: Store) -> None:
    broken = dump(EXPERIMENT).replace("days = 7", "days = 0")
    done = run("run_experiment", **form(definition=broken))
    assert done.state == "failed"
    assert done.tasks["read_definition"] == "failed"
    assert data.experiments() == ()


def test_what_was_rolled_up_is_archived_where_an_archive_is_in_use(
    run: Run, launched: Store, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("roll_up_events")
    assert (done.state, done.tasks["archive"]) == ("success", "skipped")
    monkeypatch.setenv("ABP_ARCHIVE", str(home.archive))
    done = run("roll_up_events")
    assert (done.state, done.tasks["archive"]) == ("success", "success")
    assert Archive(home.archive).published() == launched.changed_days() != ()
    assert launched.stale_days() == ()


def test_the_roll_up_and_the_analysis_repeat_to_the_same_digits(run: Run, launched: Store) -> None:
    assert run("roll_up_events").state == "success"
    first = run("analyze_experiments")
    assert first.tasks[f"look[{KEY}]"] == "success"
    before = analysis.readout(launched, KEY)
    run("roll_up_events", recount=True)
    run("analyze_experiments")
    assert analysis.readout(launched, KEY) == before
    assert before.as_of == date(2026, 3, 7)


def test_the_end_of_an_experiment_is_told_once(run: Run, launched: Store) -> None:
    run("analyze_experiments")
    [alert] = launched.alerts(KEY)
    assert (alert.kind, alert.sent_at is not None) == ("end_reached", True)
    run("analyze_experiments")
    assert launched.alerts(KEY) == (alert,)


def test_people_are_told_also_when_a_look_fails_and_the_run_has_failed(
    run: Run, launched: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise DataError("made to fail")

    monkeypatch.setattr("ab_platform.conduct.guard.guard", fails)
    done = run("analyze_experiments")
    assert (done.state, done.tasks[f"look[{KEY}]"], done.tasks["tell"]) == ("failed", "failed", "success")


def test_users_are_assigned_in_bulk_and_again_to_the_same(run: Run, launched: Store) -> None:
    done = run("assign_users", experiment=KEY)
    assert done.tasks[f"assign[{KEY}]"] == "success"


def test_traffic_is_replayed_as_the_hours_pass_into_experiments_that_were_named(run: Run, launched: Store) -> None:
    live = replace(EXPERIMENT, key="live-run", salt="", layer="other", ramp=())
    launched.launch(replace(launched.experiment(KEY), experiment=live, traffic=1.0, state="running"))
    assert run("replay_traffic").of("replay_interval") == ["skipped"]
    assert launched.replayed_users("live-run") == frozenset()
    named = run("replay_traffic", experiment="live-run")
    assert named.tasks["replay_interval[live-run]"] == "success"
    assert [name for name in run("replay_traffic").tasks if "interval" in name] == ["replay_interval[live-run]"]
    assert launched.replayed_users("live-run")


def test_an_interval_is_counted_anew_to_the_same_digits_when_its_user_days_are_lost(run: Run, launched: Store) -> None:
    before = analysis.analyze(launched, KEY)
    with launched.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM user_days WHERE day BETWEEN '2026-03-02' AND '2026-03-04'")
    assert analysis.analyze(launched, KEY).lifts != before.lifts
    interval = {"since": "2026-03-02T00:00:00+00:00", "until": "2026-03-05T00:00:00"}
    assert run("roll_up_events", recount=True, **interval).state == "success"
    run("analyze_experiments")
    assert analysis.readout(launched, KEY) == before


def test_retraining_trains_what_todays_data_would_train_anew(run: Run, launched: Store) -> None:
    assert run("retrain").of("train_arm") == ["skipped"]
    other = replace(EXPERIMENT, arms=(replace(EXPERIMENT.arms[0], seed=5), *EXPERIMENT.arms[1:]))
    moved = replace(other, key="moved-run", salt="", layer="other")
    launched.launch(replace(launched.experiment(KEY), experiment=moved))
    assert run("retrain").of("train_arm") == ["success"]
    assert {artifact.recipe.seed for artifact in launched.artifacts()} == {0, 5}


def test_raw_events_are_deleted_only_after_their_time(run: Run, launched: Store) -> None:
    assert run("retention", days=1).state == "success"
    assert launched.experiment(KEY).events_deleted_at is None
    launched.stop(KEY, at=launched.experiment(KEY).ends_at)
    before = analysis.analyze(launched, KEY)
    assert run("retention", days=1).state == "success"
    assert launched.experiment(KEY).events_deleted_at is not None
    assert analysis.analyze(launched, KEY).lifts == before.lifts


def test_a_form_names_files_that_are_there(loaded: Loaded) -> None:
    named = loaded.bag.dags["run_experiment"].params.get_param("experiment").schema["enum"]
    assert "pia-vs-multivae.toml" in named
    assert json.dumps(named)


def test_an_arm_that_the_experiment_lacks_is_refused_by_name(run: Run, data: Store) -> None:
    assert run("train_arms", definition=dump(EXPERIMENT), arms=["pai"]).tasks["choose_arms"] == "failed"
