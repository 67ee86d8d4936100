"""How many latent dimensions of an arm are in use: none where its posterior has collapsed onto the prior."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ab_platform.errors import DataError
from ab_platform.offline.arms import Run
from ab_platform.offline.evaluating import OnDone, OnRun, Setup
from ab_platform.offline.protocol import OfflineSplit
from ab_platform.training import fit
from models import durable
from models.errors import ModelError
from models.recommender import Recommender


@dataclass(frozen=True)
class Active:
    """How many latent dimensions of an arm are in use.

    Attributes:
        arm: its label.
        dimensions: that are in use, of each training.
        latent: that there are.
    """

    arm: str
    dimensions: tuple[int, ...]
    latent: int

    @property
    def words(self) -> str:
        """Say it."""
        return f"{self.arm}: {', '.join(map(str, self.dimensions))} of {self.latent} latent dimensions in use"


def count_active(
    setup: Setup,
    offline: OfflineSplit,
    runs: Sequence[Run],
    *,
    on_run: OnRun | None = None,
    on_done: OnDone | None = None,
) -> tuple[Active, ...]:
    """Count the latent dimensions that tell test users from the prior, an entry an arm.

    What is trained here leaves its finished checkpoint, so that an evaluation afterwards does not train it again.

    Args:
        setup: where counts are kept, and how arms are trained.
        offline: what is trained on, and whose shown histories are encoded.
        runs: the trainings.
        on_run: makes the callback of a training's epochs.
        on_done: told of each count.

    Raises:
        DataError: an arm has no latent space, or its training diverges.
        OutOfMemoryError: a training does not fit.
    """
    counted: dict[str, list[_Count]] = {}
    for done, run in enumerate(runs, start=1):
        count = _counted(setup, offline, run, on_run)
        counted.setdefault(run.arm.label, []).append(count)
        if on_done is not None:
            on_done(run, done, len(runs))
    return tuple(
        Active(label, tuple(count.active for count in counts), counts[0].latent) for label, counts in counted.items()
    )


@dataclass(frozen=True)
class _Count:
    active: int
    latent: int


def _counted(setup: Setup, offline: OfflineSplit, run: Run, on_run: OnRun | None) -> _Count:
    """Return the count of one training, from its file where it was counted before."""
    recipe = run.arm.recipe(offline, run.seed)
    kept = setup.evaluations / f"{recipe.recipe_hash}.active.json"
    if not kept.exists():
        fitted, _ = fit(setup.workshop, recipe, offline.split, on_run(run) if on_run else None)
        durable.write(kept, json.dumps(asdict(_count(fitted, offline))).encode())
    return _Count(**json.loads(kept.read_bytes()))


def _count(fitted: Recommender, offline: OfflineSplit) -> _Count:
    # Here, since they load torch.
    from models.geometry import active_dimensions, latent_of
    from models.rows import Rows

    try:
        latent = latent_of(fitted, offline.split.train.matrix)
    except ModelError as error:
        raise DataError(str(error)) from error
    posterior = latent.posterior(Rows.of(offline.split.test.fold_in, latent.device))
    return _Count(active_dimensions(posterior), posterior.mean.shape[1])
