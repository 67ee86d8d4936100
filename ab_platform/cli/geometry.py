"""`abp geometry`: the latent spaces of trained arms, side by side."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.arms import Dataset, HoldBack, LeastRating, training_bar
from ab_platform.cli.console import AsJson, Device, bar, now, out, print_json, print_table, say, store, workshop
from ab_platform.errors import DataError
from ab_platform.experiment import DataRule

if TYPE_CHECKING:
    from ab_platform.geometry import Findings, LatentSpaces, LoadedArm, Plane
    from ab_platform.storage.store import Store
    from models.geometry import Effort


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(geometry)


def geometry(
    arms: Annotated[list[str], typer.Argument(help="Recommenders, or artifact ids as `abp train` prints them.")],
    dataset: Dataset = "ml-1m",
    least_rating: LeastRating = 4.0,
    hold_back: HoldBack = 0.3,
    keep: Annotated[float | None, typer.Option(help="Share of a history that masks keep; as trained else.")] = None,
    users: Annotated[int, typer.Option(help="Drawn to measure on.")] = 2_000,
    masks: Annotated[int, typer.Option(help="Drawn for each user.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Folder for geometry.md and its pictures.")] = None,
    name: Annotated[str | None, typer.Option(help="What the dashboard calls it; the data set's name else.")] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Look into latent spaces: how masks move users, what alignment contracts, who can learn from whom.

    What is found is stored too, for the dashboard's page Latent space, in place of what has the same name there.

    Of a recommender's artifacts the newest is taken; one that was never trained on the data is trained with its
    defaults. Arms with anchors are compared with the first one without that masks move.

    Example: abp geometry multi_vae pia --output geometry
    """
    from ab_platform.geometry import LatentSpaces, find_or_train, lay_out, load_arms, look
    from ab_platform.training import snapshot

    effort = _effort(users, masks, seed)
    opened, place = store(), workshop(device)
    snap = snapshot(opened, DataRule(dataset, least_rating=least_rating, hold_back=hold_back))
    artifacts = []
    for each in arms:
        with training_bar(each) as on_epoch:
            artifacts.append(find_or_train(opened, place, snap, each, at=now(), on_epoch=on_epoch))
    loaded = load_arms(place, snap, artifacts)
    with ExitStack() as bars:

        def on_step(arm: LoadedArm) -> Callable[[int, int], None]:
            return bars.enter_context(bar(f"measure {arm.label}"))

        findings = look(loaded, snap, effort=effort, keep=keep, on_step=on_step)
    with bar("lay out users") as advance:
        plane = lay_out(loaded, snap, seed=seed, on_step=advance)
    _store(opened, name or dataset, LatentSpaces(findings, plane))
    if output is not None:
        _write(output, findings, plane)
    return print_json(findings) if as_json else _print(findings)


def _effort(users: int, masks: int, seed: int) -> Effort:
    from models.errors import ModelError
    from models.geometry import Effort

    try:
        return Effort(users=users, masks=masks, seed=seed)
    except ModelError as error:
        raise DataError(str(error)) from error


def _store(opened: Store, name: str, found: LatentSpaces) -> None:
    from ab_platform.documents import Document, plain

    opened.write_document(Document("geometry", name, now(), plain(found)))
    say(f"stored as '{name}' for the dashboard's page Latent space")


def _write(folder: Path, findings: Findings, plane: Plane) -> None:
    from ab_platform.reporting import latent, latent_pictures

    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "geometry.md": latent.as_markdown(findings, plane),
        latent.PLANE: latent_pictures.plane(plane),
        latent.VARIANCES: latent_pictures.variances(findings),
        latent.DISTANCES: latent_pictures.distances(findings),
    }
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    say(f"wrote {folder / 'geometry.md'} and its pictures")


def _print(findings: Findings) -> None:
    from ab_platform.reporting import latent

    for number, table in enumerate(latent.tables(findings)):
        print_table(f"{chr(10) * bool(number)}{table.title}, {findings.dataset}", table.columns, table.rows)
        for sentence in table.told:
            out.print(sentence, soft_wrap=True, style="dim")
