"""Steps tile the days, come in their order, and let nobody in before their gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ab_platform.conduct.steps import LATE, current_step, enter, is_over, next_step, step_of, steps_of
from ab_platform.errors import ExperimentError
from ab_platform.experiment import RampStep
from ab_platform.lineage import Change
from ab_platform.storage.store import Store
from tests.worlds import START, experiment, launch, register

RAMPED = replace(experiment(), ramp=(RampStep(0.1, 1), RampStep(0.5, 2)))
KEY = RAMPED.key


@pytest.fixture
def ramped(store: Store) -> Store:
    register(store, replace(launch(RAMPED), traffic=0.1))
    return store


def pass_gate(store: Store, number: int) -> None:
    store.note(Change(KEY, START, "gate", None, {"step": number, "passes": True}, None))


def test_steps_tile_the_planned_days() -> None:
    steps = steps_of(launch(RAMPED))
    assert [(step.traffic, (step.since - START).days, (step.until - START).days) for step in steps] == [
        (0.1, 0, 1),
        (0.5, 1, 3),
        (1.0, 3, 7),
    ]
    assert steps[0].last_day == START.date()
    assert steps[1].label == "step 2 of 3, traffic 50 %"


def test_a_moment_is_in_one_step() -> None:
    launched = launch(RAMPED)
    numbers = [current_step(launched, START + timedelta(days=days)).number for days in (-1, 0, 0.9, 1, 2.9, 3, 30)]
    assert numbers == [1, 1, 1, 2, 2, 3, 3]


def test_the_next_step_is_the_first_that_has_begun_and_whose_users_were_never_in() -> None:
    launched = replace(launch(RAMPED), traffic=0.1)
    due = [next_step(launched, [], START + timedelta(days=days)) for days in (0, 1, 5)]
    assert [step.number if step else None for step in due] == [None, 2, 2]
    whole = Change(KEY, START, "ramp", {"traffic": 0.1}, {"traffic": 1.0}, None)
    assert next_step(launched, [whole], START + timedelta(days=5)) is None


def test_who_ramps_down_by_hand_is_not_ramped_up_again(store: Store) -> None:
    register(store, launch())
    store.ramp(launch().experiment.key, 0.1, at=START, reason="it looks bad")
    assert next_step(launch(), store.changes(launch().experiment.key), START + timedelta(days=5)) is None
    enter(store, launch().experiment.key, 1, now=START + timedelta(days=5))
    assert store.experiment(launch().experiment.key).traffic == 0.1


def test_a_step_that_the_experiment_lacks_is_refused() -> None:
    with pytest.raises(ExperimentError, match="has no step 4; it has 1 to 3"):
        step_of(launch(RAMPED), 4)


def test_the_first_step_is_what_the_launch_let_in(ramped: Store) -> None:
    enter(ramped, KEY, 1, now=START)
    assert ramped.experiment(KEY).traffic == 0.1


def test_a_step_begins_when_it_is_due_and_its_gate_has_passed(ramped: Store) -> None:
    with pytest.raises(ExperimentError, match=r"begins at 2026-03-02 00:00 UTC; it is 2026-03-01 00:00: wait for it"):
        enter(ramped, KEY, 2, now=START)
    due = START + timedelta(days=1, minutes=5)
    with pytest.raises(ExperimentError, match="needs the gate of step 1 to pass; run `abp advance"):
        enter(ramped, KEY, 2, now=due)
    pass_gate(ramped, 1)
    enter(ramped, KEY, 2, now=due)
    enter(ramped, KEY, 2, now=due)
    assert ramped.experiment(KEY).traffic == 0.5
    ramps = [change for change in ramped.changes(KEY) if change.action == "ramp"]
    assert [(change.at, change.after, change.reason) for change in ramps] == [
        (due, {"traffic": 0.5}, "step 2 of 3, traffic 50 %")
    ]


def test_an_earlier_step_again_lets_nobody_out(ramped: Store) -> None:
    pass_gate(ramped, 1)
    enter(ramped, KEY, 2, now=START + timedelta(days=1))
    enter(ramped, KEY, 1, now=START + timedelta(days=1))
    assert ramped.experiment(KEY).traffic == 0.5


def test_a_stopped_experiment_has_no_further_step(ramped: Store) -> None:
    ramped.stop(KEY, at=START + timedelta(hours=1))
    with pytest.raises(ExperimentError, match="is stopped; step 2 of 3, traffic 50 % cannot begin"):
        enter(ramped, KEY, 2, now=START + timedelta(days=1))


def test_a_step_is_over_after_its_last_day_and_the_time_of_late_events(ramped: Store) -> None:
    end = START + timedelta(days=1)
    assert not is_over(ramped, KEY, 1, now=end)
    assert is_over(ramped, KEY, 1, now=end + LATE)


def test_waiting_ends_when_the_experiment_is_stopped(ramped: Store) -> None:
    ramped.stop(KEY, at=START + timedelta(hours=1))
    assert is_over(ramped, KEY, 1, now=START + timedelta(hours=1))
