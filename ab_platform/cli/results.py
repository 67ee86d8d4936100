"""`abp replay`, `analyze`, `report` and `dashboard`."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.conduct import Key, replay_with_bar
from ab_platform.cli.console import AsJson, bar, choice, now, print_json, say, settings, store, user_reads
from ab_platform.errors import NotFoundError, PlatformError

if TYPE_CHECKING:
    from ab_platform.reporting.course import Course
    from ab_platform.results import Readout
    from ab_platform.storage.store import Store

AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Last day that counts; the newest by default.")
]
Keys = Annotated[
    list[str] | None,
    typer.Argument(metavar="EXPERIMENT", help="Keys of launched experiments.", show_default=False),
]
Published = Annotated[bool, typer.Option("--published", help="Show the paper's own figures beside.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (replay, analyze, report, dashboard):
        app.command()(verb)


def replay(
    key: Key,
    seed: Annotated[int, typer.Option(help="Seed of every user's random stream.")] = 0,
    url: Annotated[str | None, typer.Option(help="Address of the online service, to replay through it.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, help="With --url: slates a second, at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay the experiment's days with the data's real users; a second replay changes nothing.

    A user likes what was held back from training; the viewer model turns slates into clicks and watches. The ramp of
    the experiment is followed on its calendar: a gate that does not pass stops it there. With --url each slate is asked
    of the online service and each event sent to it, under the token in ABP_SERVICE_TOKEN; the lifts are the same.

    Example: abp replay pia-vs-multivae

    Example: abp replay pia-vs-multivae --url http://127.0.0.1:8000 --rate 200
    """
    if url is not None:
        return _replay_over_http(key, seed=seed, url=url, rate=rate, as_json=as_json)
    if rate is not None:
        raise typer.BadParameter("it needs --url, the address of the online service", param_hint="--rate")
    done, refused = replay_with_bar(store(), key, seed=seed)
    if as_json:
        return print_json(done)
    if refused is not None:
        say(f"{key} is stopped: the gate of step {refused.step} did not pass: {refused.reason}")
    return say(
        f"{done.users:,} users replayed ({done.users_before:,} were before), {done.events_stored:,} new events; "
        f"next: abp analyze {key}"
    )


def _replay_over_http(key: str, *, seed: int, url: str, rate: float | None, as_json: bool) -> None:
    from ab_platform.replay_http import replayed_over_http

    if settings().user_id_key is not None:
        raise PlatformError(
            "users are known by keyed hashes (ABP_USER_ID_KEY), and the service takes their own ids, which nobody here "
            "knows any more; replay without --url"
        )
    with bar("replay visits") as show:
        done = replayed_over_http(
            store(),
            key,
            url=url,
            token=settings().service_token,
            seed=seed,
            at=now(),
            per_second=rate,
            progress=lambda users, total: show(users, total),
        )
    if as_json:
        return print_json(done)
    counts = done.counts
    if done.fallbacks:
        say(
            f"popularity served {done.fallbacks:,} slates, as the arm failed or was late, so the lifts are not those "
            "of a replay in this process; lower --rate or give the service a longer --deadline-ms, and launch a new key"
        )
    return say(
        f"{done.users:,} users saw {done.slates:,} slates in {done.seconds:.0f} s ({done.slates / done.seconds:,.0f} a "
        f"second); {counts.stored:,} events are new, {counts.duplicates:,} were there; next: abp analyze {key}"
    )


def analyze(
    keys: Keys = None,
    running: Annotated[bool, typer.Option("--running", help="Every experiment that runs.")] = False,
    as_of: AsOf = None,
    every_day: Annotated[bool, typer.Option("--every-day", help="As of each day that was not analysed yet.")] = False,
    published: Published = False,
    as_json: AsJson = False,
) -> None:
    """Roll up new events, compute lifts and the sample ratio, store them, and print the table.

    With --every-day it does so as of each day of the experiment that was not analysed yet, which the dashboard's page
    Over time shows, and prints the newest table. A second run changes nothing.

    Several experiments, or with --running all that run, are analyzed together: where an engine reads the archive, one
    scan of their days serves all. One that cannot be analyzed is told of at the end; the others are analyzed.

    Example: abp analyze pia-vs-multivae

    Example: abp analyze pia-vs-multivae --every-day

    Example: abp analyze --running
    """
    from ab_platform import analysis, reporting

    if every_day and as_of is not None:
        raise typer.BadParameter("it analyzes every day; leave --as-of out", param_hint="--every-day")
    if running == bool(keys):
        raise typer.BadParameter("name experiments, or take all that run with --running", param_hint="EXPERIMENT")
    if every_day and (running or len(keys or ()) > 1):
        raise typer.BadParameter("it takes one experiment", param_hint="--every-day")
    opened = store()
    if running or not keys or len(keys) > 1:
        return _several(opened, keys, as_of=_day(as_of), published=published, as_json=as_json)
    found = (
        every_day_with_bar(opened, keys[0])
        if every_day
        else analysis.analyze(opened, keys[0], as_of=_day(as_of), reads=user_reads(opened))
    )
    if as_json:
        return print_json(reporting.as_json(found))
    return typer.echo(reporting.as_text(found, published=published))


def _several(opened: Store, keys: list[str] | None, *, as_of: date | None, published: bool, as_json: bool) -> None:
    """Analyze some experiments, or those that run; print their tables, then what failed."""
    from ab_platform import analysis, reporting
    from ab_platform.conduct.guard import running

    with bar("analyze experiments") as show:
        done = analysis.analyze_all(
            opened,
            keys or running(opened, now=now()),
            as_of=as_of,
            reads=user_reads(opened),
            progress=lambda stage, number, total: show(number, total, stage=stage),
        )
    if as_json:
        print_json([reporting.as_json(each) for each in done.readouts])
    else:
        for each in done.readouts:
            typer.echo(reporting.as_text(each, published=published))
    for key, error in done.failed.items():
        named = str(error) if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
        say(f"{key} is not analyzed: {named}")
    say(f"{len(done.readouts)} experiments analyzed")
    # One that runs may have no event yet; one that was named should.
    if any(keys or not isinstance(error, NotFoundError) for error in done.failed.values()):
        raise typer.Exit(1)


def every_day_with_bar(opened: Store, key: str) -> Readout:
    """Analyze each day that was not analysed yet, and return the newest analysis."""
    from ab_platform import analysis

    reads = user_reads(opened)
    with bar("analyze days") as show:
        done = analysis.analyze_days(opened, key, progress=lambda days, total: show(days, total), reads=reads)
    say(f"{len(done)} days analyzed")
    return analysis.readout(opened, key)


def _day(as_of: datetime | None) -> date | None:
    return None if as_of is None else as_of.date()


def report(
    key: Key,
    as_of: AsOf = None,
    form: Annotated[str, typer.Option("--format", help="text, markdown, html, latex, csv, svg, png or pdf.")] = "text",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write instead.")] = None,
    published: Published = False,
    as_json: AsJson = False,
) -> None:
    """Print a stored analysis as text, Markdown, HTML, LaTeX or CSV, or write it as a picture or a PDF.

    HTML and PDF are the full report: the table, the health, the lifts over time and the segments in one file. A picture
    has the table alone, and a CSV every stored figure.

    Example: abp report pia-vs-multivae --format pdf -o report.pdf
    """
    from ab_platform import analysis, reporting
    from ab_platform.reporting.writing import BINARY, FORMATS, written

    wanted = choice(form, FORMATS, "--format")
    if wanted in BINARY and output is None:
        told = f"{wanted} is no text that a terminal shows; say where to write it, as in -o report.{wanted}"
        raise typer.BadParameter(told, param_hint="--output")
    opened = store()
    found = analysis.readout(opened, key, as_of=as_of.date() if as_of else None)
    if as_json:
        return print_json(reporting.as_json(found))
    done = written(wanted, found, lambda: _course(opened, key), published=published)
    if output is None:
        return typer.echo(done.decode(), nl=wanted not in ("csv", "svg"))
    output.write_bytes(done)
    return say(f"wrote {output}")


def _course(opened: Store, key: str) -> Course:
    from ab_platform.reporting.course import Course

    return Course(opened.experiment(key), opened.changes(key), opened.lift_history(key))


def dashboard(
    port: Annotated[int | None, typer.Option(help="Port; a free one by default.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
) -> None:
    """Open the dashboard in a browser.

    On another address than this machine's own it asks who is there: see ABP_DASHBOARD_SIGN_IN in docs/dashboard.md.

    Example: abp dashboard --port 8501
    """
    from ab_platform.settings import dashboard_from_environment
    from dashboards.launch import LOOPBACK, command

    if host not in LOOPBACK and dashboard_from_environment().sign_in == "off":
        raise typer.BadParameter(
            f"without sign-in it may be read on this machine only, not on {host}; set ABP_DASHBOARD_SIGN_IN=token, and "
            "make tokens: abp token create NAME --scope read",
            param_hint="--host",
        )
    if find_spec("streamlit") is None:
        raise ModuleNotFoundError("No module named 'streamlit'", name="streamlit")
    sys.exit(subprocess.call(command(port, host)))
