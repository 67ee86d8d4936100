"""The comparison behind the offline tables: every arm is in it, and none is given a setting that it does not have."""

import pytest

from benchmarks.table1 import ARMS, CONTROL, STUDIES
from models.registry import RECOMMENDERS, checked_config


def test_every_recommender_is_compared_and_the_control_is_among_them() -> None:
    assert {recommender for recommender, _ in ARMS.values()} == RECOMMENDERS.keys()
    assert CONTROL in ARMS


@pytest.mark.parametrize("dataset", STUDIES)
@pytest.mark.parametrize("label", ARMS)
def test_what_is_not_tuned_is_a_setting_of_the_arm(dataset: str, label: str) -> None:
    recommender, given = ARMS[label]
    fixed = STUDIES[dataset].fixed(recommender, given)
    assert checked_config(recommender, fixed).as_mapping().items() >= fixed.items()
    assert fixed.items() >= given.items()


def test_an_arm_of_its_own_settings_keeps_them_above_the_shared_ones() -> None:
    study = STUDIES["ml-1m"]
    assert study.fixed("multi_vae", {"keep": 1.0, "batch": 7}) == {**study.shared, "keep": 1.0, "batch": 7}
