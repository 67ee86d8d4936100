"""Experiment: every rule of validity."""

from dataclasses import replace
from datetime import date

import pytest

from ab_platform.errors import ExperimentError
from ab_platform.experiment import AnalysisRule, Arm, DataRule, Experiment, Guardrail, RampStep
from ab_platform.metrics import Metric

CONTROL = Arm("multi_vae", "multi_vae", 0.5, control=True)
TREATMENT = Arm("pia", "pia", 0.5, config={"alignment": 0.3})
OWN = Metric("plays_per_slate", "Titles watched per slate", "titles_watched", "slates")


def valid() -> Experiment:
    return Experiment("a-b", DataRule("ml-1m"), (CONTROL, TREATMENT))


def test_the_salt_is_the_key_so_that_a_relaunch_under_a_new_key_has_a_new_salt() -> None:
    assert valid().salt == "a-b"
    assert replace(valid(), key="a-b-2", salt="").salt == "a-b-2"


def test_control_and_treatments_are_told_apart() -> None:
    assert valid().control == CONTROL
    assert valid().treatments == (TREATMENT,)


def test_the_document_is_plain_values() -> None:
    document = replace(valid(), starts_on=date(2026, 3, 1)).document()
    assert document["starts_on"] == "2026-03-01"
    assert document["arms"][1]["config"] == {"alignment": 0.3}  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": "Not A Key"}, "key is 'Not A Key'; it must be 1 to 64 of"),
        ({"layer_buckets": (500, 500)}, "layer_buckets is [500, 500]; it must be 0 <= start < end <= 10000"),
        ({"layer_buckets": (0, 10001)}, "layer_buckets is [0, 10001]"),
        ({"salt": "recommender"}, "salt is 'recommender'; it must be other than the layer's"),
        ({"traffic": 1.5}, "traffic is 1.5; it must be a fraction in [0, 1]"),
        ({"slate_size": 0}, "slate_size is 0; it must be 1 to 100 titles"),
        ({"days": 0}, "days is 0; it must be 1 to 365"),
        ({"least_quality": -0.1}, "least_quality is -0.1; it must be 0 to 100"),
        ({"stop_on_breach": True}, "stop_on_breach is true and monitoring is fixed; it must be false, or"),
        ({"ramp": (RampStep(0.5), RampStep(0.5))}, "ramp is 0.5, 0.5, then 1; it must be ever more traffic"),
        ({"ramp": (RampStep(0.5),), "traffic": 0.4}, "ramp is 0.5, then 0.4; it must be ever more traffic"),
        ({"ramp": (RampStep(0.5, days=7),)}, "ramp is 7 days long; it must be shorter than the 7 planned days"),
        ({"ramp": tuple(RampStep(each / 10) for each in range(1, 6))}, "ramp is 5 steps; it must be at most 4"),
        ({"alpha": 0.0}, "alpha is 0.0; it must be above 0"),
        ({"power": 1.0}, "power is 1.0; it must be above 0 and below 1"),
        ({"surfaces": ()}, "surfaces is empty"),
        ({"surfaces": ("home_card", "home_card")}, "surfaces is repeating home_card"),
        ({"arms": (CONTROL,)}, "arms is 1 given; it must be at least 2"),
        ({"arms": (CONTROL, replace(CONTROL, control=False))}, "arms is repeating multi_vae"),
        ({"arms": (replace(CONTROL, control=False), TREATMENT)}, "arms with control = true: none; exactly one"),
        ({"arms": (CONTROL, replace(TREATMENT, control=True))}, "arms with control = true: multi_vae, pia"),
        ({"arms": (CONTROL, replace(TREATMENT, weight=0.4))}, "arm weights sum to 0.9; they must sum to 1.0"),
        ({"primary": ()}, "primary is []; it must be at least one row"),
        ({"primary": ("lobby.play_duration",)}, "is on surface 'lobby'; it must be one of home_card, movie_card"),
        ({"primary": ("home_card.play_durations",)}, "did you mean 'play_duration'?"),
        ({"secondary": ("home_card.play_duration",)}, "row 'home_card.play_duration' is listed twice"),
        ({"secondary": ("home_card.visit",)}, "did you mean 'visits'?"),
        ({"guardrails": (Guardrail("attic.latency", 0.1),)}, "guardrails row 'attic.latency' is on surface 'attic'"),
        ({"metrics": (OWN, OWN)}, "metrics is repeating plays_per_slate"),
    ],
)
def test_a_broken_rule_says_the_value_found_and_what_is_required(change: dict[str, object], words: str) -> None:
    with pytest.raises(ExperimentError) as raised:
        replace(valid(), **change)  # type: ignore[arg-type]
    assert words in str(raised.value)
    assert raised.value.location, "the command line needs the key, to find its line"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset": ""}, "dataset is empty"),
        ({"hold_back": 1.0}, "hold_back is 1.0; it must be a fraction in [0, 1)"),
        ({"least_interactions": 0}, "least_interactions is 0; it must be at least 1"),
    ],
)
def test_a_broken_data_rule_says_so(change: dict[str, object], words: str) -> None:
    with pytest.raises(ExperimentError, match=words.replace("[", r"\[").replace(")", r"\)")):
        replace(DataRule("ml-1m"), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"monitoring": "sequential"}, "users is None; it must be at least 100, the users expected by the planned end"),
        ({"monitoring": "group_sequential", "users": 900}, "looks is None; it must be 2 to 100 planned looks"),
        ({"looks": 5}, "looks is 5; it must be left out unless group_sequential"),
        ({"covariate_days": 0}, "covariate_days is 0; it must be 1 to 365"),
        ({"lift_to_find": 0.0}, "lift_to_find is 0.0; it must be a lift other than 0"),
        ({"segments": ("device", "device")}, "segments is repeating device; it must be a list of distinct names"),
    ],
)
def test_a_broken_rule_of_the_analysis_says_so(change: dict[str, object], words: str) -> None:
    with pytest.raises(ExperimentError) as raised:
        AnalysisRule(**change)  # type: ignore[arg-type]
    assert words in str(raised.value)
    assert raised.value.location[0] == "analysis"


def test_a_margin_is_a_fraction_above_0() -> None:
    with pytest.raises(ExperimentError, match=r"margin is 0\.0; it must be a fraction in"):
        Guardrail("home_card.latency", 0.0)


def test_the_rows_are_table_2_on_each_surface_and_what_the_file_adds_each_with_its_role() -> None:
    defined = replace(
        valid(),
        primary=("movie_card.plays_per_slate", "home_card.play_duration"),
        secondary=("home_card.visits",),
        guardrails=(Guardrail("home_card.fallback_rate", 0.1), Guardrail("movie_card.click_rate_per_user", 0.02)),
        metrics=(OWN,),
    )
    assert [(row.name, row.role, row.null) for row in defined.rows] == [
        ("home_card.play_duration", "primary", 0.0),
        ("home_card.click_rate_per_view", "secondary", 0.0),
        ("home_card.click_rate_per_user", "secondary", 0.0),
        ("home_card.visits", "secondary", 0.0),
        ("home_card.fallback_rate", "guardrail", 0.1),  # less of it is better
        ("movie_card.play_duration", "secondary", 0.0),
        ("movie_card.click_rate_per_view", "secondary", 0.0),
        ("movie_card.click_rate_per_user", "guardrail", -0.02),
        ("movie_card.plays_per_slate", "primary", 0.0),
    ]


def test_weights_that_sum_to_one_in_floating_point_are_taken() -> None:
    arms = tuple(Arm(f"arm{index}", "popularity", 0.1, control=index == 0) for index in range(10))
    assert len(replace(valid(), arms=arms).treatments) == 9


def test_the_steps_are_the_ramp_and_then_the_full_traffic_up_to_the_planned_end() -> None:
    assert valid().steps == (RampStep(1.0, 7),)
    ramped = replace(valid(), ramp=(RampStep(0.1), RampStep(0.5, days=2)), traffic=0.8)
    assert ramped.steps == (RampStep(0.1, 1), RampStep(0.5, 2), RampStep(0.8, 4))


@pytest.mark.parametrize(("traffic", "days"), [(0.0, 1), (1.1, 1), (0.5, 0)])
def test_a_step_lets_someone_in_for_at_least_a_day(traffic: float, days: int) -> None:
    with pytest.raises(ExperimentError, match="it must be"):
        RampStep(traffic, days)
