"""`abp serve`: the online service."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from ab_platform.cli.console import say, store
from ab_platform.errors import StoreError

LOOPBACK = ("127.0.0.1", "localhost", "::1")

Origins = Annotated[
    list[str] | None, typer.Option("--origin", help="A web origin whose pages may call, such as https://tv.example.")
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that serve; a dead one is replaced.")] = 2,
    open_to_all: Annotated[
        bool, typer.Option("--open", help="Need no token: on this machine only, to try things out.")
    ] = False,
    origins: Origins = None,
    deadline_ms: Annotated[float, typer.Option(min=1.0, help="After so many milliseconds popularity serves.")] = 100.0,
    database_seconds: Annotated[
        float, typer.Option(min=0.1, help="A database slower than this is away: events go to the spool.")
    ] = 2.0,
    log_requests: Annotated[bool, typer.Option("--log-requests", help="Log every request, not only failures.")] = False,
) -> None:
    """Serve assignments, slates and events over HTTP, until a signal ends it.

    It serves every running experiment, and follows launches, ramps and stops within seconds. Events are in the
    database, or on disk while that is away, before they are acknowledged.

    Example: abp serve --workers 4 --host 0.0.0.0

    Example: abp serve --open
    """
    if open_to_all and host not in LOOPBACK:
        raise typer.BadParameter(
            f"without tokens it may listen on this machine only, not on {host}; "
            "leave out --open, and make tokens: abp token create CLIENT --scope recommend",
            param_hint="--open",
        )
    if find_spec("uvicorn") is None or find_spec("fastapi") is None:
        raise ModuleNotFoundError("fastapi is not installed", name="fastapi")
    try:
        store().close()  # makes the file of a first start
    except StoreError as error:
        say(f"{error}; the service starts all the same, and events go to the spool")
    say(f"http://{host}:{port} | docs: http://{host}:{port}/docs | stop: Ctrl-C")
    command = [sys.executable, "-m", "ab_platform.api", "--host", host, "--port", str(port)]
    command += ["--workers", str(workers), "--deadline-ms", str(deadline_ms)]
    command += ["--database-seconds", str(database_seconds)]
    command += [f"--origin={origin}" for origin in origins or ()]
    command += ["--open"] if open_to_all else []
    command += ["--log-requests"] if log_requests else []
    os.execv(sys.executable, command)  # a signal to this process is one to the service
