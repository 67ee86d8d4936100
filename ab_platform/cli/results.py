"""`abp replay`, `analyze`, `report` and `dashboard`."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ab_platform.cli.conduct import Key, replay_with_bar
from ab_platform.cli.console import AsJson, bar, choice, now, print_json, say, settings, store
from ab_platform.errors import PlatformError

AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Last day that counts; the newest by default.")
]
Published = Annotated[bool, typer.Option("--published", help="Show the paper's own figures beside.")]

FORMATS = ("text", "markdown", "html", "latex")


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


def analyze(key: Key, as_of: AsOf = None, published: Published = False, as_json: AsJson = False) -> None:
    """Roll up new events, compute lifts and the sample ratio, store them, and print the table.

    Example: abp analyze pia-vs-multivae
    """
    from ab_platform import analysis, reporting

    found = analysis.analyze(store(), key, as_of=as_of.date() if as_of else None)
    if as_json:
        return print_json(reporting.as_json(found))
    return typer.echo(reporting.as_text(found, published=published))


def report(
    key: Key,
    as_of: AsOf = None,
    form: Annotated[str, typer.Option("--format", help="text, markdown, html or latex.")] = "text",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write instead.")] = None,
    published: Published = False,
    as_json: AsJson = False,
) -> None:
    """Print a stored analysis as text, Markdown, HTML or LaTeX.

    Example: abp report pia-vs-multivae --format html -o report.html
    """
    from ab_platform import analysis, reporting

    found = analysis.readout(store(), key, as_of=as_of.date() if as_of else None)
    if as_json:
        return print_json(reporting.as_json(found))
    writers = dict(
        zip(FORMATS, (reporting.as_text, reporting.as_markdown, reporting.as_html, reporting.as_latex), strict=True)
    )
    text = writers[choice(form, FORMATS, "--format")](found, published=published)
    if output is None:
        return typer.echo(text)
    output.write_text(text, encoding="utf-8")
    return say(f"wrote {output}")


def dashboard(port: Annotated[int | None, typer.Option(help="Port; a free one by default.")] = None) -> None:
    """Open the dashboard in a browser.

    Example: abp dashboard --port 8501
    """
    from dashboards.launch import command

    if find_spec("streamlit") is None:
        raise ModuleNotFoundError("No module named 'streamlit'", name="streamlit")
    sys.exit(subprocess.call(command(port)))
