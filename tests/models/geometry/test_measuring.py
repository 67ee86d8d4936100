"""A whole recommender's latent space, on small trained arms."""

from pathlib import Path

import pytest
from scipy.sparse import csr_matrix, vstack

from models import artifact
from models.errors import ModelError
from models.geometry import Effort, contraction, latent_of, measure
from models.recommender import FitOptions, Recommender
from models.registry import create
from tests.models.geometry.made import GROUPS, SMALL_EFFORT, TRAIN, fitted, measured
from tests.models.tastes import SMALL, histories


def saved_and_loaded(recommender: Recommender, folder: Path) -> Recommender:
    report = create("popularity").fit(TRAIN, None, FitOptions())
    saved = artifact.save(folder, recommender, seed=0, data_hash="", scores={}, trained=report)
    return artifact.load(folder, saved)[0]


def test_a_collapsed_autoencoder_has_no_active_dimension() -> None:
    assert measured(fitted("multi_vae", beta_max=50.0, anneal_epochs=1, epochs=60)).active == 0
    assert measured(fitted("multi_vae")).active > 0


def test_masks_that_keep_everything_move_nobody() -> None:
    kept = measured(fitted("multi_vae"), keep=1.0)
    assert (kept.keep, kept.variance, kept.relative_variance) == (1.0, 0.0, 0.0)
    moved = measured(fitted("multi_vae"))
    assert moved.keep == 0.5
    assert moved.variance > measured(fitted("multi_vae"), keep=0.9).variance > 0.0


def test_another_mask_leaves_the_recommender_as_it_is() -> None:
    recommender = fitted("multi_vae")
    before = measured(recommender)
    measured(recommender, keep=1.0)
    assert measured(recommender) == before


def test_alignment_contracts_no_less_than_the_source_bounds() -> None:
    plain, aligned = measured(fitted("multi_vae")), measured(fitted("pia", alignment=1.0))
    bound = contraction(aligned.curvature.top, aligned.pull)
    assert aligned.pull == 1.0
    assert aligned.variance / plain.variance < bound**2 < 1.0
    assert aligned.centroid_distance is not None
    assert aligned.fitted_distance <= aligned.centroid_distance
    assert (plain.pull, plain.centroid_distance, plain.anchors) == (0.0, None, None)


def test_a_term_that_averages_over_dimensions_pulls_less_by_their_number() -> None:
    assert measured(fitted("pia", alignment=8.0, reduction="mean", epochs=2)).pull == 2.0  # 8 over 4 dimensions


def test_users_are_counted_in_groups_that_are_not_empty() -> None:
    found = measured(fitted("multi_vae"))
    assert [(group.group, group.users) for group in found.groups] == [("5-10", 40)]
    assert found.groups[0].variance == pytest.approx(found.variance)
    assert found.near.input_distance < found.far.input_distance == 1.0
    assert found.near.high < found.far.low  # the two tastes lie apart


def test_users_without_a_history_are_not_drawn() -> None:
    padded = csr_matrix(vstack([TRAIN.matrix[:9], histories((), (), ())]))
    found = measure(fitted("multi_vae"), padded, GROUPS, effort=SMALL_EFFORT)
    assert [(group.group, group.users) for group in found.groups] == [("5-10", 9)]
    assert found.users == 9


def test_users_with_one_history_are_within_each_others_radius_and_help_each_other() -> None:
    alike = csr_matrix(vstack([TRAIN.matrix[[0] * 8], TRAIN.matrix[[-1] * 4]]))
    found = measure(fitted("multi_vae"), alike, GROUPS, effort=SMALL_EFFORT)
    near, far = found.near, found.far
    assert (near.low, near.high, near.mismatch) == (0.0, 0.0, 0.0)
    assert (near.room, near.within, near.within_at_most, near.helped) == (1.0, 1.0, 1.0, 1.0)
    assert (far.room, far.within, far.within_at_most) == (0.0, 0.0, 0.0)
    assert far.low > 0.0


def test_each_step_is_told() -> None:
    told: list[tuple[int, int]] = []
    measure(
        fitted("pia"),
        TRAIN.matrix,
        GROUPS,
        effort=SMALL_EFFORT,
        on_step=lambda done, total: told.append((done, total)),
    )
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert {total for _, total in told} == {len(told)}


@pytest.mark.parametrize("name", ["rec_vae", "ract", "pia_rec_vae"])
def test_every_variational_arm_is_measured(name: str) -> None:
    found = measured(fitted(name, **({"epochs": 2} if name != "ract" else {})))
    assert found.variance > 0.0
    assert found.curvature.mean > 0.0
    assert found.near.gradient > 0.0
    assert (found.anchors is not None) == name.startswith("pia")


def test_tied_anchors_are_measured_too() -> None:
    found = measured(fitted("pia", anchors="tied", epochs=2))
    assert found.anchors is not None
    assert found.anchors.rank <= found.dimensions


def test_an_artifact_without_counts_weighs_centroids_by_popularity_all_the_same(tmp_path: Path) -> None:
    recommender = fitted("pia", centroid="inverse_popularity")
    loaded = saved_and_loaded(recommender, tmp_path)
    assert measured(loaded) == measured(recommender)
    evenly = create("pia", SMALL["pia"])
    evenly.restore(recommender.items, recommender.arrays())
    assert measured(evenly).centroid_distance != measured(recommender).centroid_distance


def test_anchors_come_back_from_an_artifact(tmp_path: Path) -> None:
    recommender = fitted("pia")
    assert measured(saved_and_loaded(recommender, tmp_path)) == measured(recommender)


def test_an_arm_without_a_posterior_is_refused() -> None:
    with pytest.raises(ModelError, match="popularity has no posterior, so no latent geometry; choose a variational"):
        measured(fitted("popularity"))
    with pytest.raises(ModelError, match="multi_vae is not fitted"):
        latent_of(create("multi_vae"), TRAIN.matrix)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ModelError, match="masks is 1; it must be at least 2"):
        Effort(masks=1)
    with pytest.raises(ModelError, match=r"keep is 1.5; it must be at most 1"):
        measured(fitted("multi_vae"), keep=1.5)
    with pytest.raises(ModelError, match="1 users have a history; at least 2 are required"):
        measure(fitted("multi_vae"), histories((), ("action-00",)), GROUPS, effort=SMALL_EFFORT)
