"""What is tried next, what is given up, and what mattered."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import optuna
import pytest
from hypothesis import given
from optuna.pruners import MedianPruner
from optuna.trial import TrialState, create_trial

from ab_platform.experiment import Arm
from ab_platform.lineage import StudyTrial
from ab_platform.tuning.measuring import Material
from ab_platform.tuning.study import Study, study_of
from ab_platform.tuning.suggesting import COMPLETE_TRIALS, WARM_UP_EPOCHS, hopeless, importances, suggest
from models.config import Search
from tests.tuning.conftest import NOW


@pytest.fixture
def study(fake: object, material: Material) -> Study:
    return study_of(material, Arm("fake", "fake", 1.0, seed=3), {"size": Search(1, 100, log=True)})


def complete(study: Study, number: int, settings: dict[str, float], ndcg: float) -> StudyTrial:
    return StudyTrial(study.key, number, study.recipe(settings), "complete", NOW, {1: ndcg}, ndcg)


def drawn(study: Study, count: int) -> list[StudyTrial]:
    """Trials whose score is their share, the rest of the settings having no effect."""
    known: list[StudyTrial] = []
    for number in range(1, count + 1):
        settings = suggest(study, known, number)
        known.append(complete(study, number, settings, 0.1 + 0.5 * settings["share"]))
    return known


def test_the_first_trial_has_the_defaults(study: Study) -> None:
    assert suggest(study, [], 1) == {"rate": 0.1, "size": 20, "share": 0.5}


def test_what_is_tried_lies_in_the_ranges_and_is_short_to_type(study: Study) -> None:
    for trial in drawn(study, 20):
        rate, size, share = study.settings(trial).values()
        assert 0.0001 <= rate <= 1
        assert isinstance(size, int)
        assert 1 <= size <= 100
        assert 0 <= share <= 1
        assert all(float(f"{value:.3g}") == value for value in (rate, share))


def test_what_is_tried_next_depends_on_the_trials_the_seed_and_the_number_alone(
    study: Study, material: Material
) -> None:
    known = drawn(study, 12)
    assert suggest(study, known, 13) == suggest(study, known, 13)
    assert suggest(study, known, 13) != suggest(study, known, 14)
    assert suggest(study, known, 13) != suggest(study, [*known[:-1], complete(study, 12, {**study.first}, 0.9)], 13)
    other = study_of(material, Arm("fake", "fake", 1.0, seed=4), {"size": Search(1, 100, log=True)})
    assert suggest(study, known, 13) != suggest(other, known, 13)


def test_what_is_under_way_elsewhere_is_not_tried_once_more(study: Study) -> None:
    known = drawn(study, 12)
    under_way = StudyTrial(study.key, 13, study.recipe(suggest(study, known, 13)), "running", NOW)
    failed = StudyTrial(study.key, 13, study.recipe(suggest(study, known, 13)), "failed", NOW, reason="it diverged")
    assert suggest(study, [*known, under_way], 14) != suggest(study, [*known, failed], 14)


def test_later_trials_are_drawn_where_earlier_ones_were_good(study: Study) -> None:
    shares = [study.settings(trial)["share"] for trial in drawn(study, 30)]
    assert np.mean(shares[15:]) > 0.75


CURVES = st.lists(
    st.lists(st.floats(0, 0.1), min_size=15, max_size=15).map(lambda steps: np.cumsum(steps).tolist()),
    min_size=2,
    max_size=9,
)


@given(CURVES, st.integers(1, 15))
def test_on_rising_curves_of_one_length_what_is_given_up_is_what_optunas_median_pruner_gives_up(
    curves: list[list[float]], epochs: int
) -> None:
    *others, own = [dict(enumerate(curve, start=1)) for curve in curves]
    own = {epoch: ndcg for epoch, ndcg in own.items() if epoch <= epochs}
    known = [_trial(other) for other in others]
    built = optuna.create_study(direction="maximize")
    built.add_trials([create_trial(value=other[15], intermediate_values=other) for other in others])
    running = create_trial(state=TrialState.RUNNING, intermediate_values=own)
    pruner = MedianPruner(n_startup_trials=COMPLETE_TRIALS, n_warmup_steps=WARM_UP_EPOCHS + 1)
    assert hopeless(known, own) == pruner.prune(built, running)


def _trial(curve: dict[int, float]) -> StudyTrial:
    return StudyTrial("study", 1, None, "complete", NOW, curve, max(curve.values()))  # type: ignore[arg-type]


def test_trials_that_stopped_early_count_with_their_best_epoch() -> None:
    early = [_trial({1: 0.1, 2: 0.5, 3: 0.4})] * COMPLETE_TRIALS
    assert hopeless(early, {1: 0.2, 20: 0.45})
    assert not hopeless(early, {1: 0.2, 20: 0.55})
    assert not hopeless(early, {1: 0.55, 20: 0.2})  # its own best counts too
    assert not hopeless(early, {1: 0.2, WARM_UP_EPOCHS: 0.1})
    assert not hopeless(early[1:], {1: 0.2, 20: 0.1})


def test_the_setting_that_decides_matters_most(study: Study) -> None:
    shares = importances(study, drawn(study, 30))
    assert next(iter(shares)) == "share"
    assert sum(shares.values()) == pytest.approx(1)
    assert importances(study, drawn(study, 5)) == {}
