"""What a search holds fixed and where it looks, and which studies are the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ab_platform.errors import ExperimentError
from ab_platform.experiment import Arm, ConfigValue
from ab_platform.lineage import StudyTrial, TrialState
from ab_platform.tuning.measuring import Material
from ab_platform.tuning.study import Range, best_first, capped, changed, study_of
from models.config import Search
from tests.tuning.conftest import NOW

pytestmark = pytest.mark.usefixtures("fake")


def arm(**config: ConfigValue) -> Arm:
    return Arm("fake", "fake", 1.0, config=config)


def test_a_study_looks_where_the_arm_says_and_holds_the_rest_at_its_defaults(material: Material) -> None:
    study = study_of(material, arm())
    assert study.ranges == {
        "rate": Range(0.0001, 1.0, log=True, whole=False),
        "size": Range(1, 100, log=False, whole=True),
        "share": Range(0.0, 1.0, log=False, whole=False),
    }
    assert study.fixed == {"epochs": 12, "flat": False}
    assert study.first == {"rate": 0.1, "size": 20, "share": 0.5}


def test_a_setting_that_is_given_is_not_looked_for(material: Material) -> None:
    study = study_of(material, arm(rate=0.2, epochs=3))
    assert set(study.ranges) == {"size", "share"}
    assert study.fixed == {"rate": 0.2, "epochs": 3, "flat": False}


def test_a_range_that_is_given_replaces_the_arms_own_or_is_added_and_draws_the_first_trial_into_it(
    material: Material,
) -> None:
    study = study_of(material, arm(), {"rate": Search(0.2, 0.9), "epochs": Search(2.5, 9.5)})
    assert study.ranges["rate"] == Range(0.2, 0.9, log=False, whole=False)
    assert study.ranges["epochs"] == Range(3, 9, log=False, whole=True)
    assert study.first == {"rate": 0.2, "size": 20, "share": 0.5, "epochs": 9}


def test_the_key_tells_apart_what_decides_the_trials_and_nothing_else(material: Material) -> None:
    key = study_of(material, arm()).key
    assert study_of(material, arm(epochs=12)).key == key  # its default
    others = [
        study_of(material, arm(epochs=13)),
        study_of(material, arm(rate=0.1)),
        study_of(material, replace(arm(), seed=1)),
        study_of(material, arm(), {"rate": Search(0.0001, 0.5, log=True)}),
        study_of(material, arm(), {"rate": Search(0.0001, 1.0)}),
        study_of(replace(material, data_hash="other"), arm()),
    ]
    assert len({key, *(each.key for each in others)}) == 7


def test_the_recipe_of_a_trial_is_that_of_a_training_with_all_its_settings(material: Material) -> None:
    study = study_of(material, arm(epochs=3))
    made = study.recipe({"rate": 0.2, "size": 30, "share": 0.5})
    assert made == study_of(material, arm(epochs=3, rate=0.2, size=30)).recipe({"share": 0.5})
    assert changed(made) == {"epochs": 3, "rate": 0.2, "size": 30}


def test_epochs_are_capped_where_the_arm_has_them() -> None:
    assert capped(arm(), 5).config == {"epochs": 5}
    assert capped(arm(epochs=7), None).config == {"epochs": 7}
    assert capped(Arm("popularity", "popularity", 1.0), 5).config == {}
    with pytest.raises(ExperimentError, match="the recommender 'fack' is unknown; did you mean 'fake'"):
        capped(Arm("fack", "fack", 1.0), 5)


@pytest.mark.parametrize(
    ("name", "searched", "words"),
    [
        ("rat", Search(0, 1), r"the setting 'rat' is unknown; did you mean 'rate'\?"),
        ("share", Search(0.5, 0.5), "the range of share is 0.5 to 0.5; it must rise"),
        ("size", Search(1.2, 1.9), "the range of size is 1.2 to 1.9; it must rise"),
        ("rate", Search(0, 1, log=True), "the range of rate is 0 to 1; it must rise, from above 0 on"),
        ("share", Search(0.5, 1.5), "share is 1.5; it must be at most 1"),
        ("size", Search(0, 5), "size is 0; it must be at least 1"),
        ("flat", Search(0, 1), "flat is False, not a number; compare its values by --try flat=..."),
        ("epochs", Search(2, 5), "epochs is both set to 3 and looked for; leave one of the two out"),
    ],
)
def test_a_range_that_cannot_be_says_why(material: Material, name: str, searched: Search, words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        study_of(material, arm(epochs=3), {name: searched})


def test_trials_are_sorted_by_how_they_ended_and_then_by_how_good_they_were(material: Material) -> None:
    study = study_of(material, arm())

    def trial(number: int, state: TrialState, best: float | None) -> StudyTrial:
        curve = {} if best is None else {1: best, 2: best / 2}
        ndcg = best if state == "complete" else None
        return StudyTrial(study.key, number, study.recipe(study.first), state, NOW, curve, ndcg)

    trials = [
        trial(1, "complete", 0.3),
        trial(2, "failed", None),
        trial(3, "pruned", 0.5),
        trial(4, "complete", 0.4),
        trial(5, "running", None),
        trial(6, "pruned", 0.2),
    ]
    assert [each.number for each in best_first(trials)] == [4, 1, 3, 6, 5, 2]
