"""`abp demo`: the whole experiment, from data to Table 2, in one command."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.conduct import replay_with_bar
from ab_platform.cli.console import AsJson, out, print_json, say, store
from ab_platform.cli.data import ingest_with_bar
from ab_platform.cli.experiments import launch_with_bars
from ab_platform.cli.results import every_day_with_bar
from ab_platform.errors import DataError

if TYPE_CHECKING:
    from ab_platform.experiment import Experiment
    from ab_platform.storage.store import Store

EXAMPLE = "pia-vs-multivae.toml"
STAND_IN = "synthetic"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(demo)


def demo(
    dataset: Annotated[
        str | None, typer.Option(help="Data set; MovieLens 1M by default, synthetic where it cannot be had.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a real experiment end to end: ingest, train two arms, replay a week of visits, print Table 2.

    A second run goes on where the first stopped, and changes nothing where it was done.

    Example: abp demo --dataset synthetic
    """
    from ab_platform import reporting

    opened = store(migrate=True)
    experiment = example()
    experiment = _on(experiment, _ingested(opened, dataset or experiment.data.dataset, stand_in=dataset is None))
    launched = launch_with_bars(opened, experiment, "auto")
    replay_with_bar(opened, launched.experiment.key, seed=0)
    # Of every day, so that the dashboard shows how the lifts came to be.
    found = every_day_with_bar(opened, launched.experiment.key)
    if as_json:
        return print_json(reporting.as_json(found))
    out.print()
    typer.echo(reporting.as_text(found))
    return say(f"\nnext: abp dashboard | abp report {experiment.key} --format html -o report.html | abp status")


def example() -> Experiment:
    """Load the example experiment, which comes with the platform whatever ABP_EXPERIMENTS says."""
    from ab_platform.experiment_file import load
    from ab_platform.settings import examples

    return load(examples() / EXAMPLE)


def _on(experiment: Experiment, dataset: str) -> Experiment:
    """Return the experiment on another data set: other users, so a key and a layer of their own."""
    if dataset == experiment.data.dataset:
        return experiment
    key, layer = (f"{name}-{dataset}" for name in (experiment.key, experiment.layer))
    return replace(experiment, key=key, salt=key, layer=layer, data=replace(experiment.data, dataset=dataset))


def _ingested(opened: Store, dataset: str, *, stand_in: bool) -> str:
    """Ingest the data set, or the stand-in where it cannot be had; return the name of what is there."""
    if opened.dataset(dataset) is not None:
        return dataset
    try:
        return ingest_with_bar(opened, dataset).dataset.dataset
    except DataError as error:
        if not stand_in:
            raise
        say(f"{dataset} cannot be had: {error}")
        say("the demo goes on with synthetic data: users, titles and tastes are made up, and so is every figure below")
        return _ingested(opened, STAND_IN, stand_in=False)
