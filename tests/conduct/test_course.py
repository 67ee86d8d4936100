"""The whole course in process: a replay through every gate, and what is due on a live calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ab_platform import launching
from ab_platform.analysis import analyze
from ab_platform.conduct import course
from ab_platform.conduct.training import Wanted, stale, train_wanted, wanted
from ab_platform.errors import ExperimentError
from ab_platform.experiment_file import dump
from ab_platform.quality import popularity_ndcg
from ab_platform.storage.store import Store
from ab_platform.training import Workshop, snapshot
from tests.conduct.test_gate import KEY, RAMPED, visit
from tests.small_world import EXPERIMENT, NOW, fill
from tests.worlds import START, USERS, launch, register


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "artifacts", tmp_path / "checkpoints", device="cpu", precision="float32")


@pytest.fixture
def data(store: Store) -> Store:
    fill(store)
    return store


def test_a_replay_goes_through_every_step_and_a_second_one_changes_nothing(data: Store, workshop: Workshop) -> None:
    launching.launch(data, workshop, EXPERIMENT, snapshot(data, EXPERIMENT.data), at=NOW)
    labels: list[str] = []
    done, refused = course.replay_course(
        data, workshop, EXPERIMENT.key, seed=0, now=NOW, progress=lambda step, *_: labels.append(step.label)
    )
    assert refused is None
    assert done.events_stored > 0
    assert list(dict.fromkeys(labels)) == [
        "step 1 of 3, traffic 30 %",
        "step 2 of 3, traffic 60 %",
        "step 3 of 3, traffic 100 %",
    ]
    assert data.experiment(EXPERIMENT.key).traffic == 1.0
    before = (analyze(data, EXPERIMENT.key), data.changes(EXPERIMENT.key))
    again, _ = course.replay_course(data, workshop, EXPERIMENT.key, seed=0, now=NOW)
    assert again.events_stored == 0
    assert (analyze(data, EXPERIMENT.key), data.changes(EXPERIMENT.key)) == before


def test_a_gate_that_does_not_pass_ends_the_replay_there(
    data: Store, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    launching.launch(data, workshop, EXPERIMENT, snapshot(data, EXPERIMENT.data), at=NOW)
    monkeypatch.setattr("ab_platform.conduct.gate.alarms", lambda readout: ["made to alarm"])
    _, refused = course.replay_course(data, workshop, EXPERIMENT.key, seed=0, now=NOW)
    assert refused is not None
    stopped = data.experiment(EXPERIMENT.key)
    assert (stopped.state, stopped.traffic) == ("stopped", 0.3)
    assert analyze(data, EXPERIMENT.key).as_of == EXPERIMENT.starts_on


def test_what_is_due_on_a_live_calendar_is_done_once(store: Store) -> None:
    register(store, replace(launch(RAMPED), traffic=0.9))
    visit(store, USERS, clicks_of={"head": 2, "tail": 2})
    early = course.advance(store, KEY, now=START + timedelta(hours=9))
    assert (early.step.number, early.gate) == (1, None)
    due = course.advance(store, KEY, now=START + timedelta(days=1, hours=1))
    assert due.gate is not None
    assert (due.gate.passes, store.experiment(KEY).traffic) == (True, 1.0)
    assert course.advance(store, KEY, now=START + timedelta(days=1, hours=2)).gate is None


def test_a_gate_that_does_not_pass_stops_a_live_experiment(store: Store) -> None:
    register(store, replace(launch(RAMPED), traffic=0.9))
    visit(store, USERS, clicks_of={"head": 3, "tail": 1})
    done = course.advance(store, KEY, now=START + timedelta(days=1, hours=1))
    assert done.stopped is not None
    assert store.experiment(KEY).state == "stopped"


def test_an_arm_that_ranks_too_badly_is_not_launched(data: Store, workshop: Workshop) -> None:
    snap = snapshot(data, EXPERIMENT.data)
    strict = replace(EXPERIMENT, least_quality=50.0)
    with pytest.raises(ExperimentError, match=r"arm multi_vae reaches NDCG@100 0\.\d+ on validation users, popularity"):
        launching.launch(data, workshop, strict, snap, at=NOW)
    assert data.experiments() == ()
    assert 0.0 < popularity_ndcg(snap) < 1.0


def test_arms_are_wanted_by_name_seed_and_epochs() -> None:
    text = dump(EXPERIMENT)
    assert [each.label for each in wanted(text)] == ["multi_vae", "pia"]
    assert [each.label for each in wanted(text, ["pia"], seeds=[3, 4])] == ["pia, seed 3", "pia, seed 4"]
    with pytest.raises(ExperimentError, match="arm 'pai' is not in small-run; did you mean 'pia'"):
        wanted(text, ["pai"])
    with pytest.raises(ExperimentError, match="epochs"):
        wanted(text, ["pia"], epochs=0)


def test_what_is_stale_is_what_new_data_would_train(data: Store, workshop: Workshop) -> None:
    launched = launching.launch(data, workshop, EXPERIMENT, snapshot(data, EXPERIMENT.data), at=NOW)
    assert stale(data, workshop) == ()
    frozen = launched.artifacts["multi_vae"]
    (workshop.artifacts / frozen).rename(workshop.artifacts / "gone")
    [gone] = stale(data, workshop)
    assert train_wanted(data, workshop, gone, at=NOW).artifact_id == frozen
    assert isinstance(gone, Wanted)
