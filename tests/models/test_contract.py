"""What every recommender promises, on a matrix whose answer is known."""

import functools
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models import artifact
from models.errors import ModelError
from models.interactions import Interactions
from models.ranking import evaluate
from models.recommender import NO_TITLE, FitOptions, FitReport, Recommender, top
from models.registry import RECOMMENDERS, create
from tests.models.tastes import ACTION, DRAMA, ITEMS, SMALL, histories, titles, two_groups

TRAIN = two_groups()


@functools.cache
def fitted_once(name: str) -> tuple[Recommender, FitReport]:
    recommender = create(name, SMALL[name])
    return recommender, recommender.fit(TRAIN, None, FitOptions(threads=1))


class RecommenderContract:
    """Subclass it with a name and, where the recommender learns taste, the tests of taste.

    Attributes:
        name: in the registry.
        seeded: whether the seed makes a difference.
        learns_by_gradient: whether the precision of large products can be chosen.
    """

    name: str
    seeded = True
    learns_by_gradient = True

    @pytest.fixture
    def fitted(self) -> tuple[Recommender, FitReport]:
        return fitted_once(self.name)

    @pytest.fixture
    def recommender(self, fitted: tuple[Recommender, FitReport]) -> Recommender:
        return fitted[0]

    def test_every_item_is_scored_for_every_history(self, recommender: Recommender) -> None:
        scores = recommender.score(TRAIN.matrix)
        assert scores.shape == TRAIN.matrix.shape
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        assert recommender.items == TRAIN.items == ITEMS

    def test_an_empty_history_gets_a_full_slate(self, recommender: Recommender) -> None:
        ranked = top(recommender, histories(()), 10)
        assert (ranked != NO_TITLE).all()
        assert len(set(ranked[0])) == 10

    def test_no_history_at_all_is_no_row(self, recommender: Recommender) -> None:
        assert recommender.score(histories()).shape == (0, len(ITEMS))

    def test_a_user_who_has_seen_everything_gets_nothing(self, recommender: Recommender) -> None:
        assert (top(recommender, histories(ITEMS), 5) == NO_TITLE).all()

    def test_seen_and_excluded_titles_never_come_back(self, recommender: Recommender) -> None:
        seen, barred = ACTION[:5], DRAMA[:5]
        ranked = titles(top(recommender, histories(seen), len(ITEMS), exclude=histories(barred)))
        assert sorted(ranked[0]) == sorted(set(ITEMS) - set(seen) - set(barred))

    def test_saved_and_loaded_it_scores_the_same(self, fitted: tuple[Recommender, FitReport], tmp_path: Path) -> None:
        recommender, report = fitted
        artifact_id = artifact.save(tmp_path, recommender, seed=0, data_hash="d", scores={}, trained=report)
        loaded, _ = artifact.load(tmp_path, artifact_id)
        np.testing.assert_array_equal(loaded.score(TRAIN.matrix), recommender.score(TRAIN.matrix))
        assert (loaded.name, loaded.config, loaded.items) == (recommender.name, recommender.config, recommender.items)

    def test_the_same_seed_gives_the_same_arm(self, recommender: Recommender) -> None:
        again = create(self.name, SMALL[self.name])
        again.fit(TRAIN, None, FitOptions(threads=1))
        for name, array in recommender.arrays().items():
            np.testing.assert_array_equal(again.arrays()[name], array)

    def test_validation_users_are_evaluated(self) -> None:
        split = TRAIN.split_users(validation_users=20, test_users=20, seed=1)
        recommender = create(self.name, SMALL[self.name])
        report = recommender.fit(split.train, split.validation, FitOptions(threads=1))
        assert report.ndcg == pytest.approx(evaluate(recommender, split.validation).mean_ndcg_100, abs=1e-12)

    def test_before_it_is_fitted_it_says_so(self) -> None:
        with pytest.raises(ModelError, match=f"{self.name} is not fitted; call fit"):
            create(self.name).score(TRAIN.matrix)

    def test_histories_in_another_vocabulary_are_refused(self, recommender: Recommender) -> None:
        with pytest.raises(ModelError, match=r"the histories have 3 items and .* was fitted on 32"):
            recommender.score(csr_matrix(np.ones((1, 3), dtype=np.float32)))

    def test_arrays_of_another_shape_are_refused(self, recommender: Recommender) -> None:
        with pytest.raises(ModelError, match="the arrays are"):
            create(self.name, SMALL[self.name]).restore(ITEMS[:-1], recommender.arrays())


class LearnsTaste(RecommenderContract):
    """The promises of a recommender that tells one taste from another."""

    def test_users_never_seen_get_titles_of_their_taste(self, recommender: Recommender) -> None:
        ranked = titles(top(recommender, histories(ACTION[:4], DRAMA[:4]), 10))
        assert set(ranked[0]) <= set(ACTION)
        assert set(ranked[1]) <= set(DRAMA)

    def test_another_seed_gives_another_arm_unless_the_arm_says_that_it_does_not(
        self, recommender: Recommender
    ) -> None:
        other = create(self.name, SMALL[self.name])
        other.fit(TRAIN, None, FitOptions(seed=1, threads=1))
        differs = any((other.arrays()[name] != array).any() for name, array in recommender.arrays().items())
        assert differs is self.seeded is not recommender.deterministic

    def test_half_the_bits_in_the_large_products_find_the_same_taste(self) -> None:
        recommender = create(self.name, SMALL[self.name])
        report = recommender.fit(TRAIN, None, FitOptions(threads=1, precision="bfloat16"))
        assert report.precision == ("bfloat16" if self.learns_by_gradient else "float32")
        assert set(titles(top(recommender, histories(ACTION[:4]), 10))[0]) <= set(ACTION)
        assert {array.dtype for array in recommender.arrays().values()} == {np.dtype(np.float32)}

    def test_nothing_to_train_on_is_refused(self) -> None:
        nothing = Interactions.from_codes(np.array([], np.int64), np.array([], np.int64), None, ["u"], ["i"])
        with pytest.raises(ModelError, match="there is no interaction to train on"):
            create(self.name).fit(nothing, None, FitOptions())


class TestPopularity(RecommenderContract):
    name = "popularity"

    def test_what_most_users_saw_comes_first(self, recommender: Recommender) -> None:
        counts = np.asarray(TRAIN.matrix.sum(axis=0)).ravel()
        best = top(recommender, histories(()), len(ITEMS))[0]
        np.testing.assert_array_equal(counts[best], np.sort(counts)[::-1])


class TestMf(LearnsTaste):
    name = "mf"
    learns_by_gradient = False


class TestWmf(LearnsTaste):
    name = "wmf"
    learns_by_gradient = False


class TestEase(LearnsTaste):
    name = "ease"
    seeded = False
    learns_by_gradient = False


class TestPlrec(LearnsTaste):
    name = "plrec"
    learns_by_gradient = False


class TestCdae(LearnsTaste):
    name = "cdae"


class TestNgcf(LearnsTaste):
    name = "ngcf"


class TestMultiVae(LearnsTaste):
    name = "multi_vae"


class TestRecVae(LearnsTaste):
    name = "rec_vae"


class TestRact(LearnsTaste):
    name = "ract"


class TestPia(LearnsTaste):
    name = "pia"


class TestPiaRecVae(LearnsTaste):
    name = "pia_rec_vae"


def test_every_arm_keeps_the_contract() -> None:
    contracts = RecommenderContract.__subclasses__() + LearnsTaste.__subclasses__()
    assert {contract.name for contract in contracts if contract is not LearnsTaste} == RECOMMENDERS.keys()
