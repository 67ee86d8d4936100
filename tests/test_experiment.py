"""Experiment: every rule of validity."""

from dataclasses import replace
from datetime import date

import pytest

from ab_platform.errors import ExperimentError
from ab_platform.experiment import Arm, DataRule, Experiment

CONTROL = Arm("multi_vae", "multi_vae", 0.5, control=True)
TREATMENT = Arm("pia", "pia", 0.5, config={"alignment": 0.3})


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


def test_weights_that_sum_to_one_in_floating_point_are_taken() -> None:
    arms = tuple(Arm(f"arm{index}", "popularity", 0.1, control=index == 0) for index in range(10))
    assert len(replace(valid(), arms=arms).treatments) == 9
