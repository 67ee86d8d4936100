"""What each ablation compares: arms that differ in one thing, and share the rest."""

from __future__ import annotations

import pytest
import torch

from ab_platform.errors import ExperimentError, NotFoundError
from ab_platform.offline.ablations import ABLATIONS, Ablation, ablation, arms_of, multi_vae_parameters, widened
from ab_platform.offline.arms import OfflineArm, check, control_of
from models.alignment import Pia, PiaConfig
from models.multi_vae import MultiVae, MultiVaeConfig
from models.registry import checked_config

ITEMS = 300


@pytest.mark.parametrize("chosen", ABLATIONS.values(), ids=lambda each: each.name)
def test_the_arms_of_every_ablation_exist_and_one_is_the_control(chosen: Ablation) -> None:
    arms = arms_of(chosen, items=ITEMS, shared={"epochs": 3})
    check(arms)
    assert control_of(arms, chosen.control) == chosen.control
    assert all(arm.config["epochs"] == 3 for arm in arms)


@pytest.mark.parametrize("chosen", ABLATIONS.values(), ids=lambda each: each.name)
def test_the_arms_of_every_ablation_are_different_trainings(chosen: Ablation) -> None:
    arms = arms_of(chosen, items=ITEMS, shared={})
    full = [(arm.recommender, tuple(checked_config(arm.recommender, arm.config).as_mapping().items())) for arm in arms]
    assert len(set(full)) == len(arms) > 1


def varied(name: str, setting: str, recommender: str) -> list[object]:
    arms = arms_of(ablation(name), items=ITEMS, shared={})
    return [arm.config[setting] for arm in arms if arm.recommender == recommender]


def test_what_is_varied_is_what_the_paper_asks() -> None:
    assert varied("lambda", "alignment", "pia") == [0, 0.01, 0.03, 0.1, 0.3, 1, 3, 8]
    assert arms_of(ABLATIONS["lambda"], items=ITEMS, shared={})[-1].config == {"alignment": 8, "reduction": "mean"}
    assert varied("keep", "keep", "multi_vae") == varied("keep", "keep", "pia") == [0.3, 0.5, 0.7, 0.9, 1]
    assert varied("beta", "beta_max", "multi_vae") == [0, 0.05, 0.2, 0.5, 1, 5]
    assert varied("anchors", "anchors", "pia") == ["own", "tied"]
    assert varied("centroid", "centroid", "pia") == ["mean", "inverse_popularity"]


def test_a_shared_setting_goes_to_the_arms_that_have_it() -> None:
    arms = arms_of(ablation("keep"), items=ITEMS, shared={"batch": 100, "alignment": 0.1})
    assert all(arm.config["batch"] == 100 for arm in arms)
    assert [arm.config.get("alignment") for arm in arms] == [None] * 5 + [0.1] * 5


def parameters(recommender: MultiVae | Pia) -> int:
    return sum(each.numel() for each in recommender.build(ITEMS, torch.Generator()).parameters())


@pytest.mark.parametrize(("hidden", "latent"), [(600, 200), (32, 7)])
def test_the_wide_multi_vae_has_as_many_weights_as_pia_to_within_half_a_hidden_unit(hidden: int, latent: int) -> None:
    plain = parameters(MultiVae(MultiVaeConfig(hidden=hidden, latent=latent)))
    assert plain == multi_vae_parameters(ITEMS, hidden=hidden, latent=latent)
    pia = parameters(Pia(PiaConfig(hidden=hidden, latent=latent)))
    wide = widened(ITEMS, hidden=hidden, latent=latent)
    own = parameters(MultiVae(MultiVaeConfig(hidden=wide, latent=latent)))
    assert wide > hidden
    assert abs(own - pia) <= (2 * ITEMS + 3 * latent + 2) / 2


def test_the_size_goes_by_the_shared_hidden_and_latent_units() -> None:
    _, wide, pia = arms_of(ablation("size"), items=ITEMS, shared={"hidden": 32, "latent": 7})
    assert wide == OfflineArm(
        "multi_vae as large as pia", "multi_vae", {"hidden": widened(ITEMS, hidden=32, latent=7), "latent": 7}
    )
    assert pia.config == {"hidden": 32, "latent": 7}


def test_an_unknown_ablation_names_the_nearest() -> None:
    with pytest.raises(NotFoundError, match=r"there is no ablation 'lamda'; did you mean 'lambda'\?"):
        ablation("lamda")


def test_what_is_varied_cannot_be_shared() -> None:
    with pytest.raises(ExperimentError, match="keep is what the ablation 'keep' varies; leave --set keep out"):
        arms_of(ablation("keep"), items=ITEMS, shared={"keep": 0.5})


def test_a_setting_that_no_arm_has_names_the_nearest() -> None:
    with pytest.raises(ExperimentError, match=r"no arm of the ablation 'beta' has 'bach'; did you mean 'batch'\?"):
        arms_of(ablation("beta"), items=ITEMS, shared={"bach": 100})
