"""Where an experiment's arms come from, as HTML: data set, recipe, artifact, launch; a card each, a row an arm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape

from ab_platform.experiment import Arm
from ab_platform.lineage import Artifact, Dataset, Launch
from ab_platform.reporting.html_parts import figure
from ab_platform.training_log import Training


@dataclass(frozen=True)
class Origins:
    """All that led to an experiment.

    Attributes:
        launch: the experiment.
        dataset: that its arms learned from; None where it is not ingested here any more.
        artifacts: of the arms, by arm name.
        trainings: how each artifact's training went, by artifact id; those of earlier versions are not kept.
    """

    launch: Launch
    dataset: Dataset | None
    artifacts: Mapping[str, Artifact]
    trainings: Mapping[str, Training]


def tree(found: Origins) -> str:
    """Lay out the way from the data to the launch."""
    arms = "".join(_arm(arm, found) for arm in found.launch.experiment.arms)
    return (
        f'<div class="lineage" role="group" aria-label="From data to experiment">\n'
        f'{_dataset(found)}<div class="ways">{arms}</div>\n{_launch(found.launch)}</div>\n'
    )


def same_data(found: Origins) -> str:
    """Say whether all arms learned from the same interactions, as a fair comparison needs."""
    hashes = {artifact.recipe.data_hash for artifact in found.artifacts.values()}
    if len(hashes) > 1:
        return (
            "The arms did NOT learn from the same interactions, so a lift may be owed to the data and not to the arm."
        )
    return "All arms learned from the same interactions, by their content hash." if hashes else ""


def identity(text: str, *, shown: int = 10) -> str:
    """Show the beginning of an id; a click selects the whole, and the whole shows where the pointer rests.

    Args:
        text: the id.
        shown: characters before it is cut.
    """
    whole = escape(text)
    cut = " cut" if len(text) > shown else ""
    return f'<code class="identity{cut}" style="--shown:{shown}ch" title="{whole}" tabindex="0">{whole}</code>'


def moment(at: datetime) -> str:
    """Print a moment to the minute."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _card(kind: str, title: str, facts: Iterator[tuple[str, str]], *, name: str) -> str:
    """Lay out one step.

    Args:
        kind: what it is.
        title: its name.
        facts: a label and HTML each.
        name: of its class.
    """
    listed = "".join(f"<dt>{escape(label)}</dt><dd>{shown}</dd>" for label, shown in facts)
    head = f'<p class="kind">{escape(kind)}</p><p class="title">{escape(title)}</p>'
    return f'<section class="card {name}" aria-label="{escape(f"{kind}: {title}")}">{head}<dl>{listed}</dl></section>'


def _dataset(found: Origins) -> str:
    rule = found.launch.experiment.data
    return _card("data set", rule.dataset, _dataset_facts(found), name="data")


def _dataset_facts(found: Origins) -> Iterator[tuple[str, str]]:
    rule, dataset = found.launch.experiment.data, found.dataset
    if dataset is None:
        yield "ingested", "not here any more"
    else:
        yield "holds", f"{dataset.interactions:,} interactions, {dataset.users:,} users, {dataset.titles:,} titles"
        yield "ingested", moment(dataset.ingested_at)
        yield "content", identity(dataset.content_hash)
    yield "liked", f"ratings from {rule.least_rating:g}; the last {100 * rule.hold_back:.0f} % of each user held back"


def _arm(arm: Arm, found: Origins) -> str:
    artifact = found.artifacts.get(arm.name)
    if artifact is None:
        return ""
    role = "control" if arm.control else "treatment"
    recipe = _card(f"recipe of {arm.name}, {role}", arm.recommender, _recipe_facts(arm, artifact), name="recipe")
    trained = _card("artifact", arm.name, _artifact_facts(artifact, found), name="artifact")
    return f'<div class="way">{recipe}{trained}</div>'


def _recipe_facts(arm: Arm, artifact: Artifact) -> Iterator[tuple[str, str]]:
    recipe = artifact.recipe
    whole = ", ".join(f"{name} {value}" for name, value in recipe.config.items())
    chosen = ", ".join(_whole(f"{name} {value}") for name, value in arm.config.items()) or "defaults"
    yield "settings", f'<span title="{escape(f"all of them: {whole}")}">{chosen}</span>'
    yield "seed", str(recipe.seed)
    yield "learned from", identity(recipe.data_hash)
    yield "code", identity(recipe.code_version)


def _artifact_facts(artifact: Artifact, found: Origins) -> Iterator[tuple[str, str]]:
    yield "id", identity(artifact.artifact_id)
    yield "trained", moment(artifact.trained_at)
    scored = artifact.scores.get("validation_ndcg_100")
    if scored is not None:
        yield "NDCG@100", f"{scored:.4f}, validation"
    training = found.trainings.get(artifact.artifact_id)
    if training is not None and training.best_epoch:
        yield "kept", f"epoch {training.best_epoch} of {training.epochs_run}"


def _whole(text: str) -> str:
    """Keep words on one line."""
    return f'<span class="whole">{escape(text)}</span>'


def _launch(launch: Launch) -> str:
    return _card("experiment", launch.experiment.key, _launch_facts(launch), name="launch")


def _launch_facts(launch: Launch) -> Iterator[tuple[str, str]]:
    weights = ", ".join(_whole(f"{arm.name} {100 * arm.weight:g} %") for arm in launch.experiment.arms)
    yield "state", figure(f"{launch.state}, traffic {100 * launch.traffic:g} %")
    yield "arms", weights
    yield "launched", moment(launch.launched_at)
    yield "runs", f"{_whole(f'{launch.starts_at:%Y-%m-%d}')} to {_whole(f'{launch.ends_at:%Y-%m-%d}')}"
    if launch.stopped_at is not None:
        yield "stopped", moment(launch.stopped_at)
