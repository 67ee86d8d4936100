"""What an experiment's arms reached on validation users when they were frozen, beside popularity."""

from __future__ import annotations

from collections.abc import Iterator

from ab_platform.experiment import Arm
from ab_platform.lineage import Artifact
from ab_platform.reporting.figures import ABSENT
from ab_platform.reporting.html_tables import Cell, Column, Row, table
from ab_platform.reporting.lineage import Origins, moment

MAIN = "validation_ndcg_100"
SCORES = {MAIN: "NDCG@100", "validation_recall_20": "Recall@20", "validation_recall_50": "Recall@50"}


def scores(found: Origins, popularity: Artifact | None) -> str:
    """Lay out the scores that were stored with each arm.

    Args:
        found: the experiment and its artifacts.
        popularity: what serves where an arm fails; None for launches that froze none.
    """
    heads = [
        Column("arm", words=True),
        *(Column(head, "on the validation users, who were not trained on") for head in SCORES.values()),
        *([Column("to popularity", "NDCG@100 as a multiple of what popularity reaches")] if popularity else []),
        Column("trained", words=True, wide=True),
    ]
    rows = list(_rows(found, popularity))
    return table(f"Validation scores of the arms of {found.launch.experiment.key}", heads, rows)


def remark(found: Origins, popularity: Artifact | None) -> tuple[str, str]:
    """Say whether the arms are better than popularity at all: a class for the sentence, and the sentence."""
    reached = {name: artifact.scores.get(MAIN) for name, artifact in found.artifacts.items()}
    scored = {name: score for name, score in reached.items() if score is not None}
    if not scored:
        return "", "No score was stored with these arms, so nothing is known of them before they are served."
    least = None if popularity is None else popularity.scores.get(MAIN)
    if least is None:
        return "", "No popularity was frozen with this experiment, so there is nothing simple to compare the arms with."
    behind = [name for name, score in scored.items() if score <= least]
    if behind:
        return "caution", (
            f"{' and '.join(behind)} ranks no better than popularity does ({least:.4f}): see that it was trained long "
            "enough, and on data like those of its users."
        )
    return "better", f"Every arm ranks better than popularity does, whose NDCG@100 is {least:.4f}."


def _rows(found: Origins, popularity: Artifact | None) -> Iterator[Row]:
    for arm in found.launch.experiment.arms:
        artifact = found.artifacts.get(arm.name)
        if artifact is not None:
            yield _row(arm.name, _role(arm), artifact, popularity)
    if popularity is not None:
        yield _row("popularity", "serves where an arm fails", popularity, popularity)


def _role(arm: Arm) -> str:
    role = "control" if arm.control else "treatment"
    return role if arm.name == arm.recommender else f"{role}, {arm.recommender}"


def _row(name: str, role: str, artifact: Artifact, popularity: Artifact | None) -> Row:
    figures = [Cell(_score(artifact.scores.get(score))) for score in SCORES]
    own, least = artifact.scores.get(MAIN), popularity.scores.get(MAIN) if popularity else None
    times = f"{own / least:.2f} ×" if own is not None and least else ABSENT
    return Cell(name, role), *figures, *([Cell(times)] if popularity else []), Cell(moment(artifact.trained_at))


def _score(score: float | None) -> str:
    return ABSENT if score is None else f"{score:.4f}"
