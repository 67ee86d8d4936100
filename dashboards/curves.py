"""The curves of trainings that a page shows, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ab_platform.lineage import Trial
from ab_platform.offline.results import ArmScores
from ab_platform.reporting.charts.training import Curve
from ab_platform.reporting.figures import ABSENT
from ab_platform.reporting.html_tables import Cell, Column, Row, table
from ab_platform.reporting.lineage import Origins

FROZEN = "as frozen"


def frozen(found: Origins, trials: Mapping[str, Sequence[Trial]]) -> list[Curve]:
    """Return the curve of each frozen arm, and behind it those of the trials on the same data.

    Args:
        found: the experiment and its trainings.
        trials: of each arm's recommender, by the arm's name.
    """
    return [curve for name in found.artifacts for curve in _of_arm(name, found, trials.get(name, ())) if curve.ndcg]


def compared(arms: Sequence[ArmScores]) -> list[Curve]:
    """Return the curves of compared arms, one a seed; arms that learn nothing in epochs have none."""
    return [
        Curve(arm.label, f"seed {seed}", ndcg, best)
        for arm in arms
        for seed, ndcg, best in zip(arm.seeds, arm.curves, arm.best_epochs, strict=False)
        if ndcg
    ]


def listed(curves: Sequence[Curve]) -> str:
    """Lay the curves out as a table: what was kept, and when each training ended."""
    heads = [
        Column("arm", words=True),
        Column("training", words=True),
        Column("best epoch", "whose weights a training keeps"),
        Column("epochs run"),
        Column("NDCG@100 then", "on validation users, after the best epoch"),
        Column("at the end", "NDCG@100 on validation users after the last epoch"),
    ]
    return table("Trainings", heads, [_row(curve) for curve in curves])


def _of_arm(name: str, found: Origins, trials: Sequence[Trial]) -> Iterator[Curve]:
    artifact = found.artifacts[name]
    training = found.trainings.get(artifact.artifact_id)
    own = artifact.recipe.recipe_hash
    for number, trial in enumerate(trials, start=1):
        curve = tuple(trial.curve[epoch] for epoch in sorted(trial.curve))
        best = max(trial.curve, key=lambda epoch: trial.curve[epoch], default=0)
        if training is None and trial.recipe.recipe_hash == own:
            yield Curve(name, "the trial of the same recipe", curve, best)
        else:
            yield Curve(name, f"trial {number}", curve, best, faint=True)
    if training is not None:
        yield Curve(name, FROZEN, training.curve, training.best_epoch)


def _row(curve: Curve) -> Row:
    kept = 0 < curve.best_epoch <= len(curve.ndcg)
    return (
        Cell(curve.arm),
        Cell(curve.run),
        Cell(str(curve.best_epoch) if kept else ABSENT),
        Cell(str(len(curve.ndcg))),
        Cell(f"{curve.ndcg[curve.best_epoch - 1]:.4f}" if kept else ABSENT),
        Cell(f"{curve.ndcg[-1]:.4f}"),
    )
