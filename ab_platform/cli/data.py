"""`abp migrate` and `abp ingest`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.console import AsJson, bar, now, print_json, print_table, pseudonyms, say, settings, store
from ab_platform.datasets.catalog import NAMES

if TYPE_CHECKING:
    from ab_platform.datasets.ingest import Ingested
    from ab_platform.datasets.naming import ColumnNames
    from ab_platform.storage.store import Store


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(migrate)
    app.command()(ingest)


def migrate() -> None:
    """Bring the database to this version's schema; a second run changes nothing.

    Example: ABP_DATABASE_URL=postgresql://abp@db/abp abp migrate
    """
    opened = store(migrate=True)
    say(f"{opened.engine.url.render_as_string(hide_password=True)} has this version's schema")


def ingest(
    source: Annotated[
        str,
        typer.Argument(help=f"A name ({', '.join(NAMES)}) or the path of a zip, folder, CSV or Parquet file."),
    ],
    name: Annotated[str | None, typer.Option(help="Name to keep it under.")] = None,
    user: Annotated[str | None, typer.Option(help="Column of the user (CSV, Parquet).")] = None,
    title: Annotated[str | None, typer.Option(help="Column of the title.")] = None,
    rating: Annotated[str | None, typer.Option(help="Column of the rating, where there is one.")] = None,
    time: Annotated[str | None, typer.Option(help="Column of the time, where there is one.")] = None,
    title_name: Annotated[str | None, typer.Option(help="Column of what the title is called.")] = None,
    genres: Annotated[str | None, typer.Option(help="Column of the genres, `|` between them.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count bad rows instead of refusing the file.")] = False,
    no_download: Annotated[bool, typer.Option("--no-download", help="Only look in ABP_DATA_HOME.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of `synthetic`.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Bring interactions and titles into the store; a second ingest changes nothing.

    With ABP_USER_ID_KEY set, users are kept by keyed hashes of their ids.

    Example: abp ingest ml-1m
    """
    from ab_platform.datasets.naming import ColumnNames

    done = ingest_with_bar(
        store(),
        source,
        name=name,
        columns=ColumnNames(user=user, title=title, rating=rating, at=time, title_name=title_name, genres=genres),
        skip_bad=skip_bad,
        allow_download=not no_download,
        seed=seed,
    )
    if as_json:
        return print_json(done)
    if not done.changed:
        say(f"{done.dataset.dataset} is ingested already; nothing changed")
    kept = done.dataset
    return print_table(
        None,
        ["data set", "interactions", "users", "titles", "bad rows", "repeated"],
        [[kept.dataset, kept.interactions, kept.users, kept.titles, kept.bad_rows, kept.repeated_rows]],
    )


def ingest_with_bar(
    opened: Store,
    source: str,
    *,
    name: str | None = None,
    columns: ColumnNames | None = None,
    skip_bad: bool = False,
    allow_download: bool = True,
    seed: int = 0,
) -> Ingested:
    """Ingest, showing a bar."""
    from ab_platform.datasets.ingest import ingest
    from ab_platform.datasets.source import IngestProgress

    with bar(f"ingest {source}", unit="bytes") as advance:

        def report(progress: IngestProgress) -> None:
            advance(progress.done, progress.total, stage=f"{progress.stage} {source}")

        return ingest(
            opened,
            source,
            data_home=settings().data_home,
            at=now(),
            name=name,
            columns=columns,
            skip_bad=skip_bad,
            allow_download=allow_download,
            seed=seed,
            pseudonyms=pseudonyms(),
            progress=report,
        )
