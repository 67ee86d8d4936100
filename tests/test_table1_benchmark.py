"""The comparison behind the offline tables: every arm is in it, and none is given a setting that it does not have."""

from datetime import UTC, datetime

import pytest

from ab_platform.datasets.ingest import ingest
from ab_platform.offline.ablations import ABLATIONS
from ab_platform.offline.protocol import of_dataset
from ab_platform.statistics.paired import paired
from ab_platform.storage.store import Store
from benchmarks.table1 import ABLATED_WITH, ARMS, CONTROL, FURTHER, STUDIES
from models.ranking import evaluate
from models.recommender import FitOptions
from models.registry import RECOMMENDERS, checked_config, create
from tests.datasets.test_real_data import data_home


def test_every_recommender_is_compared_and_the_control_is_among_them() -> None:
    assert {recommender for recommender, _ in ARMS.values()} == RECOMMENDERS.keys()
    assert CONTROL in ARMS
    assert {label for pair in FURTHER for label in pair} <= ARMS.keys()


def test_an_ablation_is_given_no_setting_that_it_varies() -> None:
    assert ABLATED_WITH.keys() <= ABLATIONS.keys()
    assert all(not given.keys() & set(ABLATIONS[name].varies) for name, given in ABLATED_WITH.items())


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


def test_a_few_epochs_on_movielens_beat_popularity(store: Store) -> None:
    ingest(store, "ml-1m", data_home=data_home("ml-1m"), at=datetime(2026, 3, 1, tzinfo=UTC), allow_download=False)
    split = of_dataset(store, "ml-1m", STUDIES["ml-1m"].protocol).split
    assert (len(split.validation.users), len(split.test.users)) == (500, 1_000)
    small = {"hidden": 100, "latent": 32, "batch": 100, "epochs": 6}
    popularity, pia = create("popularity"), create("pia", small)
    for arm in (popularity, pia):
        arm.fit(split.train, None, FitOptions(threads=1))
    control, treatment = (evaluate(arm, split.validation).ndcg_100 for arm in (popularity, pia))
    low = paired(control[None, :], treatment[None, :]).low
    assert low is not None
    assert low > 0.03
