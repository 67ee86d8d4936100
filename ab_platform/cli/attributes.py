"""`abp attributes`."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from ab_platform.cli.console import AsJson, bar, print_json, print_table, pseudonyms, say, store

QUIET_SECONDS = 2.0
"""A file that is read sooner needs no bar."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(attributes)


def attributes(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file with a row for each user.")],
    dataset: Annotated[str, typer.Option(help="Data set whose users they are.")],
    user: Annotated[str, typer.Option(help="Column of the user.")] = "user_id",
    only: Annotated[str | None, typer.Option(help="Columns to take, `,` between them; all others by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring what is known of users into the store: device, country, age; a second run changes nothing.

    Attributes divide users into segments and take variance out of lifts as covariates.

    Example: abp attributes users.csv --dataset ml-1m --user user_id --only device,country
    """
    from ab_platform.analysis.segments import MOST_SEGMENTS
    from ab_platform.datasets.source import IngestProgress
    from ab_platform.datasets.user_attributes import load_attributes

    started = monotonic()
    with bar(f"attributes {file.name}", unit="bytes") as advance:

        def report(progress: IngestProgress) -> None:
            if monotonic() - started > QUIET_SECONDS:
                advance(progress.done, progress.total, stage=f"{progress.stage} {file.name}")

        names = None if only is None else [name.strip() for name in only.split(",") if name.strip()]
        done = load_attributes(
            store(), file, dataset=dataset, user=user, only=names, pseudonyms=pseudonyms(), progress=report
        )
    if as_json:
        return print_json(done)
    print_table(
        f"{done.users:,} users of {done.dataset}",
        ["attribute", "users", "values", "unknown"],
        [[each.name, each.users, each.values, each.without] for each in done.attributes],
    )
    for each in done.attributes:
        if each.values > MOST_SEGMENTS:
            use = "it may be a covariate, but no segment" if each.numeric else "group them to make segments of it"
            say(f"{each.name} has more than {MOST_SEGMENTS} values: {use}")
    return say("attributes must not depend on the arm: take what was known before a user's first exposure")
