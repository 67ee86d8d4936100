"""Ablations: lists of arms that differ in one thing, to be compared offline, and what each asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ab_platform.errors import ExperimentError, NotFoundError, nearest
from ab_platform.experiment import ConfigValue
from ab_platform.offline.arms import OfflineArm
from models.registry import default_config

Settings = Mapping[str, ConfigValue]
Arms = tuple[OfflineArm, ...]

ALIGNMENTS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
PUBLISHED_ALIGNMENT = 8.0  # of the source, read as the weight of a mean over latent dimensions
KEPT = (0.3, 0.5, 0.7, 0.9, 1.0)
BETAS = (0.0, 0.05, 0.2, 0.5, 1.0, 5.0)


@dataclass(frozen=True)
class Ablation:
    """What is varied, and what the answer would tell.

    Attributes:
        name: what it is called.
        question: that the comparison answers.
        control: label of the arm that the others are compared with.
        varies: the settings that make the arms differ.
        arms: lays out the arms, given the number of titles and the settings that they share.
        counts_active: whether the latent dimensions that are in use are counted.
    """

    name: str
    question: str
    control: str
    varies: tuple[str, ...]
    arms: Callable[[int, Settings], Arms]
    counts_active: bool = False


def ablation(name: str) -> Ablation:
    """Return an ablation by its name.

    Raises:
        NotFoundError: with the nearest name.
    """
    if name not in ABLATIONS:
        raise NotFoundError(f"there is no ablation '{name}'; {nearest(name, ABLATIONS)}")
    return ABLATIONS[name]


def arms_of(chosen: Ablation, *, items: int, shared: Settings) -> Arms:
    """Return the arms of an ablation.

    Args:
        chosen: the ablation.
        items: titles that are ranked; they decide how large a network is.
        shared: settings that every arm gets that has them.

    Raises:
        ExperimentError: a shared setting is what the ablation varies, or no arm has it.
    """
    varied = next((name for name in shared if name in chosen.varies), None)
    if varied is not None:
        raise ExperimentError(f"{varied} is what the ablation '{chosen.name}' varies; leave --set {varied} out")
    arms = chosen.arms(items, shared)
    known = {name for arm in arms for name in default_config(arm.recommender)}
    unknown = next((name for name in shared if name not in known), None)
    if unknown is not None:
        raise ExperimentError(f"no arm of the ablation '{chosen.name}' has '{unknown}'; {nearest(unknown, known)}")
    return tuple(_sharing(arm, shared) for arm in arms)


def multi_vae_parameters(items: int, *, hidden: int, latent: int) -> int:
    """Return how many weights Multi-VAE has: items-hidden-2 latent, latent-hidden-items, each layer with its bias."""
    return 2 * items * hidden + 3 * latent * hidden + 2 * hidden + 2 * latent + items


def widened(items: int, *, hidden: int, latent: int) -> int:
    """Return the hidden units that give Multi-VAE as many weights as PIA has at `hidden`, to within half a unit.

    PIA has an anchor of `latent` weights for each title beside them.
    """
    of_one_unit = multi_vae_parameters(items, hidden=1, latent=latent) - multi_vae_parameters(
        items, hidden=0, latent=latent
    )
    return hidden + round(items * latent / of_one_unit)


def _sharing(arm: OfflineArm, shared: Settings) -> OfflineArm:
    own = {name: value for name, value in shared.items() if name in default_config(arm.recommender)}
    return replace(arm, config={**own, **arm.config})


def _alignments(items: int, shared: Settings) -> Arms:
    summed = [OfflineArm(f"lambda {value:g}", "pia", {"alignment": value}) for value in ALIGNMENTS]
    published: Settings = {"alignment": PUBLISHED_ALIGNMENT, "reduction": "mean"}
    return (*summed, OfflineArm(f"lambda {PUBLISHED_ALIGNMENT:g}, mean", "pia", published))


def _masks(items: int, shared: Settings) -> Arms:
    return tuple(
        OfflineArm(f"{recommender} keep {value:g}", recommender, {"keep": value})
        for recommender in ("multi_vae", "pia")
        for value in KEPT
    )


def _betas(items: int, shared: Settings) -> Arms:
    """Return arms whose weight is reached after `anneal_epochs`; a best epoch that comes before has not seen it."""
    return tuple(OfflineArm(f"beta {value:g}", "multi_vae", {"beta_max": value}) for value in BETAS)


def _anchors(items: int, shared: Settings) -> Arms:
    return tuple(OfflineArm(f"{kind} anchors", "pia", {"anchors": kind}) for kind in ("own", "tied"))


def _centroids(items: int, shared: Settings) -> Arms:
    kinds = {"mean": "mean", "inverse popularity": "inverse_popularity"}
    return tuple(OfflineArm(label, "pia", {"centroid": kind}) for label, kind in kinds.items())


def _sizes(items: int, shared: Settings) -> Arms:
    sizes = {**default_config("multi_vae"), **shared}
    hidden = widened(items, hidden=int(str(sizes["hidden"])), latent=int(str(sizes["latent"])))
    plain, pia = (OfflineArm(name, name, {}) for name in ("multi_vae", "pia"))
    return (plain, OfflineArm("multi_vae as large as pia", "multi_vae", {"hidden": hidden}), pia)


ABLATIONS: Mapping[str, Ablation] = {
    each.name: each
    for each in (
        Ablation(
            "lambda",
            "How strong should the alignment be? At 0 PIA is Multi-VAE.",
            control="lambda 0",
            varies=("alignment", "reduction"),
            arms=_alignments,
        ),
        Ablation(
            "keep",
            "How much of the input should the mask keep, with and without alignment? At 1 the input is clean.",
            control="multi_vae keep 0.5",
            varies=("keep",),
            arms=_masks,
        ),
        Ablation(
            "beta",
            "How heavy should the KL term be, and when does the latent space collapse?",
            control="beta 0.2",
            varies=("beta_max",),
            arms=_betas,
            counts_active=True,
        ),
        Ablation(
            "anchors",
            "Do the anchors have to be weights of their own, or will the decoder's do?",
            control="own anchors",
            varies=("anchors",),
            arms=_anchors,
        ),
        Ablation(
            "size",
            "Is PIA better for its term, or for the weights that its anchors add?",
            control="multi_vae as large as pia",
            varies=(),
            arms=_sizes,
        ),
        Ablation(
            "centroid",
            "Should all titles of a user pull alike, or rare ones more?",
            control="mean",
            varies=("centroid",),
            arms=_centroids,
        ),
    )
}
"""The ablations by name."""
