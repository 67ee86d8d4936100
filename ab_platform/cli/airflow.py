"""`abp airflow`: Airflow on this machine, in one command."""

from __future__ import annotations

import signal
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.console import err, say, settings, store

if TYPE_CHECKING:
    from ab_platform.orchestration.configuration import Configuration
    from ab_platform.orchestration.local import Local

SECONDS_BETWEEN_LOOKS = 1.0


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(airflow)


def airflow(
    port: Annotated[int | None, typer.Option(help="Port; 8080 by default, or a free one where that is taken.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; by default, this machine alone.")] = "127.0.0.1",
    executor: Annotated[
        str | None, typer.Option(help="Executor, such as LocalExecutor,CeleryExecutor; LocalExecutor by default.")
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the one that runs.")] = False,
) -> None:
    """Start Airflow on this machine, with the platform's DAGs; Ctrl-C stops all of it.

    A component that ends comes back by itself. Variables AIRFLOW__... win over what is chosen here.

    Example: abp airflow --port 8081
    """
    if any(find_spec(name) is None for name in ("airflow", "supervisor")):
        raise ModuleNotFoundError("No module named 'airflow'", name="airflow")
    from ab_platform.orchestration import local

    home = settings().airflow_home
    if stop:
        stopped = local.stop(home, pause=time.sleep)
        return say("Airflow is stopped" if stopped else "no Airflow runs here")
    with local.alone(home) as free:
        return _run(_configured(host, port, executor)) if free else _tell_of_other()


def _configured(host: str, port: int | None, executor: str | None) -> Configuration:
    from ab_platform.orchestration.configuration import configure, dags_folder
    from ab_platform.settings import for_child

    chosen = settings()
    inherited = for_child(chosen)
    return configure(
        chosen.airflow_home, dags=dags_folder(), inherited=inherited, host=host, port=port, executor=executor
    )


def _run(configuration: Configuration) -> None:
    """Serve until Ctrl-C, SIGTERM or the end of the terminal."""
    from ab_platform.orchestration.local import serving

    store(migrate=True).close()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    say("starting Airflow; this takes about half a minute")
    try:
        with serving(configuration) as local:
            try:
                _serve(local)
            finally:
                # What stops it must not be interrupted, or processes would stay.
                for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(ending, signal.SIG_IGN)
                say("stopping Airflow")
    except KeyboardInterrupt:
        say("Airflow is stopped; what ran goes on after the next start")


def _serve(local: Local) -> None:
    with err.status("waiting for scheduler, DAG processor, API server and triggerer"):
        local.wait_until_healthy(pause=time.sleep)
    configuration = local.configuration
    say(
        f"Airflow runs at {configuration.address.url}\n"
        f"user {configuration.address.user}, password {configuration.address.password}\n"
        f"logs in {configuration.logs}; for Airflow's own commands: . {configuration.home / 'environment.sh'}\n"
        "next: abp launch FILE --airflow | abp status --airflow; Ctrl-C stops it"
    )
    while True:
        local.keep()
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _tell_of_other() -> None:
    from ab_platform.orchestration.address import read

    home = settings().airflow_home
    left = read(home)
    where = "is starting" if left is None else f"runs at {left.url} (user {left.user}, password {left.password})"
    say(f"Airflow {where} already; `abp airflow --stop` stops it")
