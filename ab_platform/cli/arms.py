"""`abp arms` and `abp train`, and what every verb that trains shares."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.console import AsJson, Device, bar, now, print_json, print_table, store, workshop
from ab_platform.errors import ExperimentError
from ab_platform.experiment import Arm, ConfigValue, DataRule

if TYPE_CHECKING:
    from models.recommender import EpochReport

Recommender = Annotated[str, typer.Argument(help="Its name, such as pia; `abp arms` lists them.")]
Dataset = Annotated[str, typer.Option(help="Name of an ingested data set.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="setting=value that differs from the default; repeat.")]
LeastRating = Annotated[float, typer.Option(help="Ratings from here on count as liked.")]
HoldBack = Annotated[float, typer.Option(help="Share of each user's interactions, the last, kept from training.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(arms)
    app.command()(train)


def arms(
    recommender: Annotated[str | None, typer.Argument(help="Show its settings; without it all are listed.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the recommenders that an arm can be, or the settings of one with their defaults.

    Example: abp arms pia
    """
    from models.registry import RECOMMENDERS, purpose

    if recommender is not None:
        return _print_settings(recommender, as_json=as_json)
    purposes = {name: purpose(name) for name in RECOMMENDERS}
    if as_json:
        return print_json(purposes)
    return print_table(None, ["recommender", "what it does"], [[name, text] for name, text in purposes.items()])


def _print_settings(recommender: str, *, as_json: bool) -> None:
    from models.errors import ModelError
    from models.registry import default_config, purpose, search_space

    try:
        defaults, spaces = default_config(recommender), search_space(recommender)
    except ModelError as error:
        raise ExperimentError(str(error)) from error
    if as_json:
        return print_json(defaults)
    ranges = {name: f"{each.low:g} to {each.high:g}{', log' if each.log else ''}" for name, each in spaces.items()}
    rows = [[name, str(value), ranges.get(name, "")] for name, value in defaults.items()]
    return print_table(f"{recommender}: {purpose(recommender)}", ["setting", "default", "abp tune tries"], rows)


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
    return name.strip(), parse_value(value.strip())


def parse_value(text: str) -> ConfigValue:
    """Read the value of a setting: a number, true or false, or a word."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value if isinstance(value, bool | int | float | str) else text
