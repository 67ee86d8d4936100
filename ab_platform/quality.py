"""Is an arm good enough to serve: its ranking of validation users against popularity's, on the same users."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ab_platform.errors import ExperimentError
from ab_platform.experiment import Arm, Experiment
from ab_platform.lineage import Artifact
from ab_platform.training import Snapshot
from models.popularity import Popularity
from models.ranking import evaluate
from models.recommender import FitOptions

SCORE = "validation_ndcg_100"


@dataclass(frozen=True)
class Quality:
    """What an arm reaches, and what is required of it.

    Attributes:
        arm: its name.
        artifact_id: what was scored.
        ndcg: NDCG@100 on the validation users; None where the artifact does not say.
        popularity: what popularity reaches on them.
        required: the smallest that may serve.
    """

    arm: str
    artifact_id: str
    ndcg: float | None
    popularity: float
    required: float

    @property
    def passes(self) -> bool:
        """Tell whether the arm may serve."""
        return self.required == 0.0 or (self.ndcg is not None and self.ndcg >= self.required)

    @property
    def sentence(self) -> str:
        """Say what was found and what is required."""
        reached = "no score" if self.ndcg is None else f"NDCG@100 {self.ndcg:.4f}"
        return (
            f"arm {self.arm} reaches {reached} on validation users, popularity {self.popularity:.4f}; "
            f"at least {self.required:.4f} is required"
        )


def popularity_ndcg(snap: Snapshot) -> float:
    """Return popularity's NDCG@100 on the validation users that the arms are scored on."""
    split = snap.split()
    popularity = Popularity()
    popularity.fit(split.train, None, FitOptions())
    return evaluate(popularity, split.validation).mean_ndcg_100


def qualities(experiment: Experiment, made: Iterable[tuple[Arm, Artifact]], snap: Snapshot) -> tuple[Quality, ...]:
    """Score arms of an experiment against its `least_quality`.

    Args:
        experiment: the definition.
        made: arms, and what they were trained to.
        snap: what they were trained on.
    """
    popularity = popularity_ndcg(snap)
    required = experiment.least_quality * popularity
    return tuple(
        Quality(arm.name, artifact.artifact_id, artifact.scores.get(SCORE), popularity, required)
        for arm, artifact in made
    )


def require_quality(found: Iterable[Quality]) -> None:
    """Refuse arms that are not good enough to serve.

    Raises:
        ExperimentError: naming the first of them, with both figures.
    """
    for quality in found:
        if not quality.passes:
            raise ExperimentError(
                f"{quality.sentence}: train it longer or with other settings, or lower least_quality",
                ("least_quality",),
            )
