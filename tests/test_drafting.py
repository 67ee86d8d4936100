"""Drafts: what is set by hand over an experiment, what its file then says, and that the command line agrees."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from ab_platform.drafting import Settings, as_file, blank, command, drafted, lines, next_key, tuned_for
from ab_platform.errors import ExperimentError
from ab_platform.experiment import AnalysisRule, Arm, Experiment, RampStep
from ab_platform.experiment_file import parse
from ab_platform.planning import Given
from tests.storage import made

SETTINGS = Settings(14, 0.5, 0.03, 0.01, 0.9, "fixed", 5, 0.5)


def three_arms() -> Experiment:
    arms = (Arm("b", "b", 0.3), Arm("a", "a", 0.5, control=True), Arm("c", "c", 0.2))
    return replace(made.definition(), arms=arms)


def test_settings_lie_over_the_experiment_and_leave_the_rest() -> None:
    start = replace(made.definition(), hypothesis="longer", analysis=AnalysisRule(covariates=("device",)))
    draft = drafted(start, SETTINGS)
    assert (draft.days, draft.traffic, draft.alpha, draft.power) == (14, 0.5, 0.01, 0.9)
    assert draft.analysis == AnalysisRule(covariates=("device",), lift_to_find=0.03)
    assert (draft.hypothesis, draft.arms, draft.salt) == ("longer", start.arms, start.salt)


def test_treatments_share_what_the_control_leaves_as_they_did() -> None:
    weights = {arm.name: arm.weight for arm in drafted(three_arms(), replace(SETTINGS, control_weight=0.8)).arms}
    assert weights == pytest.approx({"b": 0.12, "a": 0.8, "c": 0.08})


@drawn(st.integers(1, 5), st.floats(0.01, 0.99))
def test_weights_of_a_draft_are_a_whole(treatments: int, control: float) -> None:
    start = blank("small", primary=["home_card.visits"], treatments=treatments)
    for draft in (start, drafted(start, replace(SETTINGS, control_weight=control))):
        assert sum(arm.weight for arm in draft.arms) == pytest.approx(1.0, abs=1e-9)
        assert all(arm.weight == round(arm.weight, 4) for arm in draft.arms)
        assert len(draft.treatments) == treatments


def test_treatments_without_users_share_evenly() -> None:
    arms = (Arm("a", "a", 1.0, control=True), Arm("b", "b", 0.0), Arm("c", "c", 0.0))
    draft = drafted(replace(made.definition(), arms=arms), SETTINGS)
    assert [arm.weight for arm in draft.arms] == [0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    ("days", "traffic", "steps"), [(7, 1.0, (0.1, 0.5)), (7, 0.5, (0.1,)), (2, 1.0, ()), (3, 0.4, (0.1,))]
)
def test_of_a_ramp_the_steps_that_fit_stay(days: int, traffic: float, steps: tuple[float, ...]) -> None:
    start = replace(made.definition(), ramp=(RampStep(0.1), RampStep(0.5)))
    draft = drafted(start, replace(SETTINGS, days=days, traffic=traffic))
    assert tuple(step.traffic for step in draft.ramp) == steps


def test_a_stop_on_breach_goes_with_looks_at_any_time() -> None:
    start = replace(made.definition(), stop_on_breach=True, analysis=AnalysisRule(monitoring="sequential", users=1_000))
    assert drafted(start, replace(SETTINGS, monitoring="sequential")).stop_on_breach
    assert not drafted(start, SETTINGS).stop_on_breach


def test_looks_are_tuned_for_the_users_expected_and_one_look_for_none() -> None:
    draft = drafted(made.definition(), replace(SETTINGS, monitoring="group_sequential", looks=4))
    assert tuned_for(draft, 5_700).analysis == replace(draft.analysis, users=5_700, looks=4)
    assert tuned_for(draft, 3).analysis.users == 100
    assert tuned_for(drafted(made.definition(), SETTINGS), 5_700).analysis.users is None


@pytest.mark.parametrize("monitoring", ["fixed", "sequential", "group_sequential"])
def test_the_lines_and_the_file_say_what_was_set(monitoring: str) -> None:
    chosen = replace(SETTINGS, monitoring=monitoring, control_weight=0.7)  # type: ignore[arg-type]
    draft = tuned_for(drafted(three_arms(), chosen), 5_700)
    said = tomllib.loads(lines(draft))
    whole = tomllib.loads(as_file(draft, "next"))
    for key in ("days", "traffic", "alpha", "power"):
        assert said[key] == whole[key]
    assert said["analysis"].items() <= whole["analysis"].items()
    assert said["arms"] == [{"name": arm["name"], "weight": arm["weight"]} for arm in whole["arms"]]


def test_the_file_is_an_experiment_under_its_own_key_and_salt() -> None:
    draft = drafted(made.definition(), SETTINGS)
    assert parse(as_file(draft, "another")) == replace(draft, key="another", salt="another")


def test_the_next_key_is_one() -> None:
    assert next_key("pia-vs-multi-vae") == "pia-vs-multi-vae-next"
    long = next_key("a" * 64)
    assert long == "a" * 59 + "-next"
    assert len(long) == 64


def test_the_command_says_what_was_given() -> None:
    assert command("next one.toml", Given()) == "abp power 'next one.toml'"
    given = Given(users_per_day=500.0, variation=1.5, variance_saved=0.3)
    options = ["--users-per-day", "500", "--variation", "1.5", "--variance-saved", "0.3"]
    assert shlex.split(command("next.toml", given)) == ["abp", "power", "next.toml", *options]


def test_a_row_that_is_not_there_is_refused() -> None:
    with pytest.raises(ExperimentError, match="metric 'plays' is not in the catalogue"):
        blank("small", primary=["home_card.plays"])
