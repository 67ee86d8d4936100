"""`abp ablate`: arms that differ in one thing, compared offline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.arms import Dataset, LeastRating, parse_setting
from ab_platform.cli.console import AsJson, Device, out, print_json, print_table, settings, store, workshop
from ab_platform.cli.evaluate import (
    compared,
    evaluation_bars,
    keep_comparison,
    parse_seeds,
    print_comparison,
    split_of,
    write_comparison,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ab_platform.offline.activity import Active
    from ab_platform.offline.arms import OfflineArm
    from ab_platform.offline.protocol import OfflineSplit
    from ab_platform.offline.results import Comparison


@dataclass(frozen=True)
class Ablated:
    """What an ablation found, for machines.

    Attributes:
        ablation: its name.
        question: that it answers.
        comparison: of its arms.
        active: latent dimensions in use, an entry an arm; none where the ablation does not count them.
    """

    ablation: str
    question: str
    comparison: Comparison
    active: tuple[Active, ...]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(ablate)


def ablate(
    name: Annotated[str | None, typer.Argument(help="What to vary; without it the ablations are listed.")] = None,
    dataset: Dataset = "ml-1m",
    from_folder: Annotated[
        Path | None, typer.Option("--from", help="Folder of split files, instead of a data set.")
    ] = None,
    shared: Annotated[
        list[str] | None, typer.Option("--set", help="setting=value of every arm that has the setting; repeat.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="That each arm is trained from.")] = "1,2,3",
    least_rating: LeastRating = 4.0,
    jobs: Annotated[int, typer.Option(help="Trainings at a time, each on one thread.")] = 1,
    device: Device = "auto",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file, with a picture beside.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare arms that differ in one thing, as `abp evaluate` compares arms; what was evaluated before is only read.

    Example: abp ablate lambda --dataset ml-1m --set batch=100 --set anneal_epochs=40 --seeds 1,2
    """
    from ab_platform.offline.ablations import ablation, arms_of
    from ab_platform.offline.protocol import Protocol

    if name is None:
        return _list(as_json=as_json)
    chosen = ablation(name)
    offline = split_of(dataset, from_folder, Protocol(least_rating=least_rating))
    given = dict(map(parse_setting, shared or []))
    arms = arms_of(chosen, items=len(offline.split.train.items), shared=given)
    wanted = parse_seeds(seeds)
    opened = store()
    active = _active(offline, arms, wanted, device) if chosen.counts_active else ()
    found = Ablated(chosen.name, chosen.question, compared(offline, arms, wanted, chosen.control, jobs, device), active)
    keep_comparison(opened, f"{offline.dataset}, ablation {chosen.name}", found.comparison)
    if output is not None:
        _write(found, output)
    return print_json(found) if as_json else _print(found)


def _list(*, as_json: bool) -> None:
    from ab_platform.offline.ablations import ABLATIONS

    if as_json:
        return print_json({name: each.question for name, each in ABLATIONS.items()})
    return print_table(None, ["ablation", "why"], [[name, each.question] for name, each in ABLATIONS.items()])


def _active(offline: OfflineSplit, arms: Sequence[OfflineArm], seeds: Sequence[int], device: str) -> tuple[Active, ...]:
    from ab_platform.offline.activity import count_active
    from ab_platform.offline.arms import runs
    from ab_platform.offline.evaluating import Setup

    setup = Setup(workshop(device), settings().home / "evaluations")
    with evaluation_bars() as (on_run, on_done):
        return count_active(setup, offline, runs(arms, seeds), on_run=on_run, on_done=on_done)


def _print(found: Ablated) -> None:
    out.print(f"{found.ablation}: {found.question}", soft_wrap=True)
    print_comparison(found.comparison)
    for each in found.active:
        out.print(each.words, soft_wrap=True)


def _write(found: Ablated, output: Path) -> None:
    """Write the comparison as `abp evaluate` does, and below it what an ablation adds."""
    write_comparison(found.comparison, output)
    added = ["", f"{found.ablation}: {found.question}", "", *(f"- {each.words}" for each in found.active)]
    output.write_text(output.read_text(encoding="utf-8") + "\n".join(added).rstrip() + "\n", encoding="utf-8")
