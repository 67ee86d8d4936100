"""`abp`: the verbs, and what happens when one of them fails."""

from __future__ import annotations

import os
import sys

import typer

from ab_platform import __version__
from ab_platform.cli import (
    ablate,
    airflow,
    airflow_runs,
    archive,
    arms,
    attributes,
    conduct,
    data,
    demo,
    erase,
    evaluate,
    experiments,
    geometry,
    power,
    published,
    results,
    serve,
    simulate,
    split,
    token,
    tune,
    upkeep,
)
from ab_platform.cli.console import err
from ab_platform.errors import PlatformError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

EXTRAS = {
    **dict.fromkeys(("torch", "implicit", "optuna", "sklearn"), "train"),
    "airflow": "airflow",
    **dict.fromkeys(("streamlit", "altair", "typst", "vl_convert"), "dashboard"),
    "psycopg": "postgres",
    **dict.fromkeys(("fastapi", "uvicorn", "openfeature", "prometheus_client"), "serve"),
}
"""What brings a library that a verb needs."""

app = typer.Typer(
    name="abp",
    help="A/B experiments for recommenders: train the arms, split the users, log what they do, read the lift.\n\n"
    "Start with: abp demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verbs in (
    *(demo, simulate, data, attributes),
    *(arms, tune, evaluate, ablate, geometry),
    *(power, experiments, conduct, split, results, published, upkeep, archive),
    *(serve, token, erase, airflow, airflow_runs),
):
    verbs.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"abp {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Take the options that stand before the verb."""


def main() -> None:
    """Run the command line; an error a person can act on is one line, and exit status 1."""
    # Threads that spin while they wait starve the rest: on a busy machine an epoch took 8.4 s, and passively 2.0 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except PlatformError as error:
        err.print(f"[bold red]abp:[/] {_escaped(error)}", soft_wrap=True)
        sys.exit(EXIT_FAILED)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        err.print(
            f"[bold red]abp:[/] {error.name} is not installed; this verb needs it: "
            f"pip install 'ab-platform\\[{EXTRAS[error.name]}]'",
            soft_wrap=True,
        )
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        err.print("[bold red]abp:[/] interrupted; run the same command again and it goes on where it stopped")
        sys.exit(EXIT_INTERRUPTED)


def _escaped(error: PlatformError) -> str:
    return str(error).replace("[", "\\[")
