"""`abp train` and `abp tune`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.console import AsJson, Device, bar, now, print_json, print_table, say, store, workshop
from ab_platform.errors import ExperimentError
from ab_platform.experiment import Arm, ConfigValue, DataRule

if TYPE_CHECKING:
    from ab_platform.lineage import Recipe
    from models.recommender import EpochReport

Recommender = Annotated[str, typer.Argument(help="popularity, multi_vae or pia.")]
Dataset = Annotated[str, typer.Option(help="Name of an ingested data set.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="setting=value that differs from the default; repeat.")]
LeastRating = Annotated[float, typer.Option(help="Ratings from here on count as liked.")]
HoldBack = Annotated[float, typer.Option(help="Share of each user's interactions, the last, kept from training.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(train)
    app.command()(tune)


def train(
    recommender: Recommender,
    dataset: Dataset = "ml-1m",
    settings: Set = None,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    least_rating: LeastRating = 4.0,
    hold_back: HoldBack = 0.3,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Train one arm and register its artifact; the same recipe is not trained twice.

    Example: abp train pia --dataset ml-1m --set alignment=0.3
    """
    from ab_platform.training import snapshot
    from ab_platform.training import train as train_arm

    arm = Arm(recommender, recommender, 1.0, seed=seed, config=dict(map(parse_setting, settings or [])))
    opened = store()
    snap = snapshot(opened, DataRule(dataset, least_rating=least_rating, hold_back=hold_back))
    with training_bar(arm.name) as on_epoch:
        artifact = train_arm(opened, workshop(device), snap, arm, at=now(), on_epoch=on_epoch)
    if as_json:
        return print_json(artifact)
    scores = [[name, value] for name, value in artifact.scores.items()]
    return print_table(f"{recommender}: artifact {artifact.artifact_id}", ["score", "value"], scores)


def tune(
    recommender: Recommender,
    tries: Annotated[list[str], typer.Option("--try", help="setting=value,value,...; several make a grid.")],
    dataset: Dataset = "ml-1m",
    settings: Set = None,
    seed: Annotated[int, typer.Option(help="Seed of every training.")] = 0,
    least_rating: LeastRating = 4.0,
    hold_back: HoldBack = 0.3,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Try settings on validation users and say which is best; trials done before are not done again.

    Example: abp tune pia --try alignment=0.03,0.1,0.3,1
    """
    from ab_platform.training import grid, snapshot
    from ab_platform.training import tune as tune_arm

    arm = Arm(recommender, recommender, 1.0, seed=seed, config=dict(map(parse_setting, settings or [])))
    options = grid(dict(map(parse_values, tries)))
    opened = store()
    snap = snapshot(opened, DataRule(dataset, least_rating=least_rating, hold_back=hold_back))
    names = list(options[0])
    with ExitStack() as bars:

        def on_epoch(made: Recipe) -> Callable[[EpochReport], None]:
            return bars.enter_context(training_bar(" ".join(f"{name}={made.config[name]}" for name in names)))

        trials = list(tune_arm(opened, workshop(device), snap, arm, options, at=now, on_epoch=on_epoch))
    trials.sort(key=lambda trial: -trial.validation_ndcg)
    if as_json:
        return print_json(trials)
    rows = [[*(str(trial.recipe.config[name]) for name in names), trial.validation_ndcg] for trial in trials]
    print_table(f"{recommender} on validation users of {dataset}", [*names, "NDCG@100"], rows)
    best = " ".join(f"--set {name}={trials[0].recipe.config[name]}" for name in [*arm.config, *names])
    return say(f"best: abp train {recommender} --dataset {dataset} {best}")


@contextmanager
def training_bar(description: str) -> Iterator[Callable[[EpochReport], None]]:
    """Show a training: epochs, ETA, loss terms, validation NDCG."""
    with bar(description) as advance:

        def on_epoch(report: EpochReport) -> None:
            terms = " ".join(f"{name} {value:.4g}" for name, value in report.losses.items())
            ndcg = "" if report.ndcg is None else f"NDCG@100 {report.ndcg:.4f} "
            advance(report.epoch, report.epochs, note=ndcg + terms)

        yield on_epoch


def parse_setting(text: str) -> tuple[str, ConfigValue]:
    """Read `setting=value`.

    Raises:
        ExperimentError: where there is no `=`.
    """
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ExperimentError(f"'{text}' is not a setting; write setting=value, such as alignment=0.3")
    return name.strip(), _value(value.strip())


def parse_values(text: str) -> tuple[str, list[ConfigValue]]:
    """Read `setting=value,value,...`."""
    name, values = parse_setting(text)
    return name, [_value(each.strip()) for each in str(values).split(",")] if isinstance(values, str) else [values]


def _value(text: str) -> ConfigValue:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value if isinstance(value, bool | int | float | str) else text
