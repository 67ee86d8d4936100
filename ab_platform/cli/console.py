"""What every verb shares: settings, the store, tables for people, JSON for machines, bars with an ETA."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from ab_platform.settings import Settings, from_environment

if TYPE_CHECKING:
    from ab_platform.pseudonym import Pseudonyms
    from ab_platform.storage.archive import Archive
    from ab_platform.storage.store import Store
    from ab_platform.storage.warehouse.reads import UserReads
    from ab_platform.training import Workshop

SECONDS_BETWEEN_LINES = 10.0

WRAPPED = {"before", "after", "why"}
"""Columns of a table that may take several lines; the others are names and figures, which are not broken."""

PIPE_WIDTH = 120

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the change log.")]
Device = Annotated[str, typer.Option(help="Where to train: auto, cpu or cuda.")]


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def settings() -> Settings:
    """Read the settings from the environment."""
    return from_environment()


def store(*, migrate: bool = False) -> Store:
    """Open the store that the settings name; a SQLite file that is not there yet is made."""
    from ab_platform.storage.store import open_store

    chosen = settings()
    fresh = chosen.database_url.startswith("sqlite") and not (chosen.home / "abp.db").exists()
    return open_store(chosen.database_url, migrate=migrate or fresh)


def archive_in_use() -> Archive | None:
    """Open the archive that the settings name; None where none is in use."""
    chosen = settings()
    if not chosen.archive_in_use:
        return None
    from ab_platform.storage.archive import Archive

    return Archive(chosen.archive)


def user_reads(opened: Store) -> UserReads:
    """Open what the settings say reads the users of an analysis."""
    from ab_platform.warehouse import user_reads

    chosen = settings()
    return user_reads(opened, warehouse=chosen.warehouse, archive=chosen.archive, at=now())


def pseudonyms() -> Pseudonyms:
    """Return how users are known; ids that people and files give go through it, once.

    Raises:
        PlatformError: for a key that is too short.
    """
    from ab_platform.pseudonym import Pseudonyms

    return Pseudonyms(settings().user_id_key)


def workshop(device: str = "auto") -> Workshop:
    """Return where and on what arms are trained."""
    from ab_platform.training import Workshop

    chosen = settings()
    return Workshop(chosen.artifacts, chosen.checkpoints, device=choice(device, ("auto", "cpu", "cuda"), "--device"))


def choice(value: str, allowed: Sequence[str], option: str) -> Any:
    """Return a value that is one of a few.

    Raises:
        typer.BadParameter: for any other.
    """
    if value not in allowed:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(allowed)}", param_hint=option)
    return value


def say(text: str) -> None:
    """Print a line for people on standard error, so that standard output stays clean for results."""
    err.print(text, soft_wrap=True)


def print_table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, its title above it; numbers stand to the right."""
    if title is not None:
        out.print(title, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        # What a row is about is never cut short, however narrow the terminal.
        whole = None if index else max((len(_shown(row[0])) for row in rows), default=None)
        side: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(column, justify=side, no_wrap=column not in WRAPPED, min_width=whole)
    for row in rows:
        table.add_row(*(_shown(cell) for cell in row))
    out.print(table)


def print_json(value: object) -> None:
    """Print a value as JSON; dataclasses become objects, moments ISO 8601."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, ensure_ascii=False, default=_plain) + "\n")


@contextmanager
def bar(description: str, *, unit: str = "") -> Iterator[Callable[..., None]]:
    """Show a bar with an ETA; yields `advance(done, total, note)`, `total` None while it is unknown."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TaskProgressColumn() if unit == "bytes" else MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
    )
    with Progress(*columns, console=err, expand=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(description, total=None, note="", visible=False)
        log = _Log(description)

        def advance(done: int, total: int | None, note: str = "", stage: str | None = None) -> None:
            progress.update(
                task, completed=done, total=total, note=note, description=stage or description, visible=True
            )
            if not err.is_terminal:
                log.tell(done, total, note, stage)

        yield advance


class _Log:
    """What stands in for a bar where there is no terminal: a line now and then, with the time left."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._started = self._told = monotonic()

    def tell(self, done: int, total: int | None, note: str, stage: str | None) -> None:
        """Print a line, unless the last one is fresh."""
        moment = monotonic()
        if moment - self._told < SECONDS_BETWEEN_LINES or not done or not total:
            return
        self._told = moment
        left = (moment - self._started) / done * (total - done)
        say(f"{self._description} {stage or ''} {done / total:4.0%}, about {left:.0f} s left {note}".replace("  ", " "))


def _shown(cell: object) -> str:
    match cell:
        case None:
            return "–"
        case float():
            return f"{cell:.4g}"
        case int() if not isinstance(cell, bool):
            return f"{cell:,}"
        case datetime():
            return cell.strftime("%Y-%m-%d %H:%M")
        case date():
            return cell.isoformat()
        case _:
            return str(cell)


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return value
