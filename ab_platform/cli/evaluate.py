"""`abp evaluate`: arms trained and judged on one split of the users, and what differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.arms import Dataset, LeastRating, parse_setting, training_bar
from ab_platform.cli.console import (
    AsJson,
    Device,
    bar,
    now,
    out,
    print_json,
    print_table,
    say,
    settings,
    store,
    workshop,
)
from ab_platform.errors import ExperimentError

if TYPE_CHECKING:
    from ab_platform.offline.arms import OfflineArm, Run
    from ab_platform.offline.evaluating import OnDone, OnRun
    from ab_platform.offline.protocol import OfflineSplit, Protocol
    from ab_platform.offline.results import Comparison
    from ab_platform.storage.store import Store
    from ab_platform.training import OnEpoch

Arms = Annotated[
    list[str] | None,
    typer.Argument(metavar="ARM...", help="name, name:setting=value,... or label=name:setting=value,..."),
]
From = Annotated[Path | None, typer.Option("--from", help="Folder of split files, instead of a data set.")]
Export = Annotated[Path | None, typer.Option(help="New folder to write the split to, as files.")]
Validation = Annotated[int | None, typer.Option(help="Who choose the epoch; a tenth, at most 10,000, else.")]
Test = Annotated[int | None, typer.Option(help="Who judge; a tenth, at most 10,000, else.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(evaluate)


def evaluate(
    arms: Arms = None,
    dataset: Dataset = "ml-1m",
    from_folder: From = None,
    export: Export = None,
    seeds: Annotated[str, typer.Option(help="That each arm is trained from.")] = "1,2,3",
    against: Annotated[str | None, typer.Option(help="Label of the control; multi_vae, else the first arm.")] = None,
    tuned: Annotated[bool, typer.Option("--tuned", help="Take the best settings of the trials on this split.")] = False,
    least_rating: LeastRating = 4.0,
    least_items: Annotated[int, typer.Option(help="Users with fewer titles are left out.")] = 5,
    least_users: Annotated[int, typer.Option(help="Titles with fewer users are left out before that.")] = 0,
    validation_users: Validation = None,
    test_users: Test = None,
    jobs: Annotated[int, typer.Option(help="Trainings at a time, each on one thread.")] = 1,
    device: Device = "auto",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file, with a picture beside.")] = None,
    name: Annotated[str | None, typer.Option(help="What the dashboard calls it; the data set's name else.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train arms on one split of the users and compare them with a control: strong generalisation, several seeds.

    What was evaluated before is only read, and an interrupted comparison goes on where it stopped. What is found is
    stored too, for the dashboard's page Offline, in place of what has the same name there.

    Example: abp evaluate popularity multi_vae pia --dataset ml-1m

    Settings and a label: abp evaluate multi_vae "clean=multi_vae:keep=1" pia:alignment=0.3,batch=100

    The split of a paper: abp evaluate ease multi_vae --from pro_sg --output offline.md
    """
    from ab_platform.offline.protocol import Protocol

    protocol = Protocol(least_rating, least_items, least_users, validation_users, test_users)
    offline = split_of(dataset, from_folder, protocol)
    if export is not None:
        _export(offline, export)
    if export is not None and not arms:
        return None
    opened = store()  # before hours of training, lest there be nowhere to keep what they come to
    found = compared(offline, _arms(arms or [], offline, tuned=tuned), parse_seeds(seeds), against, jobs, device)
    keep_comparison(opened, name or offline.dataset, found)
    if output is not None:
        write_comparison(found, output)
    if as_json:
        return print_json(found)
    return print_comparison(found)


def parse_arm(text: str) -> OfflineArm:
    """Read `name`, `name:setting=value,...` or `label=name:setting=value,...`.

    Raises:
        ExperimentError: where a part is missing.
    """
    from ab_platform.offline.arms import OfflineArm

    head, _, listed = text.partition(":")
    label, equals, name = head.partition("=")
    recommender = (name if equals else label).strip()
    if not recommender or not label.strip():
        raise ExperimentError(f"'{text}' is no arm; write label=recommender:setting=value,setting=value")
    config = dict(parse_setting(each) for each in listed.split(",")) if listed else {}
    return OfflineArm(label.strip(), recommender, config)


def split_of(dataset: str, folder: Path | None, protocol: Protocol) -> OfflineSplit:
    """Split the users of a data set, or read the split of a folder."""
    from ab_platform.offline.protocol import of_dataset, of_folder

    return of_dataset(store(), dataset, protocol) if folder is None else of_folder(folder)


def _export(offline: OfflineSplit, folder: Path) -> None:
    from ab_platform.offline.protocol import export

    export(offline, folder)
    say(f"wrote the split of {offline.dataset} to {folder}")


def _arms(texts: Sequence[str], offline: OfflineSplit, *, tuned: bool) -> list[OfflineArm]:
    from ab_platform.offline.arms import check
    from ab_platform.offline.arms import tuned as with_best_settings

    given = [parse_arm(text) for text in texts]
    check(given)
    if not tuned:
        return given
    opened = store()
    return [with_best_settings(opened, offline, arm) for arm in given]


def parse_seeds(text: str) -> list[int]:
    """Read seeds such as `1,2,3`.

    Raises:
        ExperimentError: where one is no whole number.
    """
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise ExperimentError(f"--seeds {text} is no list of whole numbers; write --seeds 1,2,3") from None


def compared(
    offline: OfflineSplit, arms: Sequence[OfflineArm], seeds: Sequence[int], against: str | None, jobs: int, device: str
) -> Comparison:
    """Train and judge what is not done yet, with bars, and compare."""
    from ab_platform.offline.comparing import compare_arms
    from ab_platform.offline.evaluating import Setup

    setup = Setup(workshop(device), settings().home / "evaluations", jobs)
    with evaluation_bars() as (on_run, on_done):
        return compare_arms(setup, offline, arms, seeds=seeds, against=against, on_run=on_run, on_done=on_done)


@contextmanager
def evaluation_bars() -> Iterator[tuple[OnRun, OnDone]]:
    """Show how many trainings are done, and below it the one under way."""
    with bar("evaluate") as advance, ExitStack() as below:

        def on_run(run: Run) -> OnEpoch:
            below.close()
            return below.enter_context(training_bar(f"{run.arm.label}, seed {run.seed}"))

        def on_done(run: Run, done: int, total: int) -> None:
            advance(done, total, note=f"{run.arm.label}, seed {run.seed}")

        yield on_run, on_done


def keep_comparison(opened: Store, name: str, found: Comparison) -> None:
    """Store a comparison under a name, for the dashboard."""
    from ab_platform.documents import Document, plain

    opened.write_document(Document("comparison", name, now(), plain(found)))
    say(f"stored as '{name}' for the dashboard's page Offline")


def write_comparison(found: Comparison, output: Path) -> None:
    """Write a comparison as Markdown, with the picture of its differences beside it."""
    from ab_platform.reporting import offline as words
    from ab_platform.reporting.offline_picture import as_svg

    picture = output.with_suffix(".svg")
    if found.differences:
        picture.write_text(as_svg(found), encoding="utf-8")
    link = picture.name if found.differences else None
    output.write_text(words.as_markdown(found, picture=link), encoding="utf-8")
    say(f"wrote {output}" + (f" and {picture}" if link else ""))


def print_comparison(found: Comparison) -> None:
    """Print a comparison's tables, and what they say in words."""
    from ab_platform.reporting import offline as words

    out.print(words.lead(found), soft_wrap=True)
    for table in words.tables(found):
        out.print()
        print_table(table.title, table.columns, table.rows)
    for texts in (words.sentences(found), words.trainings(found), words.notes(found)):
        if texts:
            out.print()
        for text in texts:
            out.print(text, soft_wrap=True, markup=False)
