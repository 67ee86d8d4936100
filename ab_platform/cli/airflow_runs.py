"""What `abp launch` and `abp status` do with `--airflow`, and `abp answer`."""

from __future__ import annotations

import hashlib
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ab_platform.cli.console import bar, choice, err, now, out, print_json, print_table, say, settings
from ab_platform.errors import NotFoundError

if TYPE_CHECKING:
    from ab_platform.experiment import Experiment
    from ab_platform.orchestration.client import AirflowClient
    from ab_platform.orchestration.following import Look
    from ab_platform.orchestration.runs import Approval, Run, Task

DAG_ID = "run_experiment"
VISITS, APPROVALS = ("auto", "replay", "live"), ("ask", "rule")
COLUMNS = ("experiment", "state", "started", "took", "running")
PASSING = frozenset({"scheduled", "queued"})
INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the verb that stands alone."""
    app.command()(answer)


def launch_in_airflow(experiment: Experiment, *, visits: str, approval: str, wait: bool, as_json: bool) -> None:
    """Trigger the run of a definition, or find the one that was triggered before, and follow it to its end.

    Raises:
        AirflowError: where the run failed, naming the task.
    """
    from ab_platform.experiment_file import dump
    from ab_platform.orchestration.following import wait_for_dag

    text = dump(experiment)
    conf = {
        "definition": text,
        "visits": choice(visits, VISITS, "--visits"),
        "approval": choice(approval, APPROVALS, "--approval"),
    }
    run_id = run_id_of(experiment.key, text)
    with client() as session:
        wait_for_dag(session, DAG_ID, pause=time.sleep)
        session.unpause(DAG_ID)
        _begin(session, run_id, conf)
        if not wait:
            say(f"next: abp status {experiment.key} --airflow")
            return print_json(session.run(DAG_ID, run_id)) if as_json else None
        return _follow(session, experiment.key, run_id, as_json=as_json)


def print_runs(key: str | None, *, as_json: bool) -> None:
    """Print the newest runs, of one experiment or of all."""
    from ab_platform.orchestration.following import look

    with client() as session:
        found = [run for run in session.runs(DAG_ID) if key in (None, experiment_of(run))]
        looks = [look(session, DAG_ID, run.run_id) for run in found]
    if as_json:
        return print_json(looks)
    if not looks:
        of = "" if key is None else f" of {key}"
        return say(f"Airflow has no run{of} yet; try `abp launch FILE --airflow`")
    print_table(None, COLUMNS, [_row(each) for each in looks])
    out.print()
    for each in looks:
        out.print(f"{experiment_of(each.run)}: {each.run.page}", soft_wrap=True)
    return None


def answer(
    key: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Key of an experiment that Airflow runs.")],
    option: Annotated[str, typer.Argument(help="The answer, or how it begins.")],
) -> None:
    """Answer what a run in Airflow asks, such as whether the treatment is shipped.

    Example: abp answer pia-vs-multivae ship
    """
    with client() as session:
        run, approval = _asked(session, key)
        chosen = meant(option, approval)
        counts = session.answer(DAG_ID, run.run_id, approval, chosen)
    say(f"{key}: {chosen}" if counts else f"{key}: somebody answered before; {run.page} shows what")


def meant(option: str, approval: Approval) -> str:
    """Return the option that begins so, whatever the case; the word itself where none or several do."""
    close = [each for each in approval.options if each.casefold().startswith(option.casefold())]
    return close[0] if len(close) == 1 else option


def prefix(key: str) -> str:
    """Return how the ids of an experiment's runs begin, where they were launched from here."""
    return f"abp__{key}__"


def run_id_of(key: str, definition: str) -> str:
    """Return the id of a definition's run: the same definition has one run, and another one has its own."""
    return f"{prefix(key)}{hashlib.sha256(definition.encode()).hexdigest()[:10]}"


def experiment_of(run: Run) -> str:
    """Return the key of the experiment that a run is of: of a file, by its name; the run's id where neither is told."""
    try:
        return str(tomllib.loads(str(run.conf.get("definition") or ""))["key"])
    except (tomllib.TOMLDecodeError, KeyError):
        return str(run.conf.get("experiment") or run.run_id).removesuffix(".toml")


@contextmanager
def client() -> Iterator[AirflowClient]:
    """Open a session with the Airflow that the settings name, or that runs on this machine."""
    from ab_platform.orchestration.address import find
    from ab_platform.orchestration.client import AirflowClient

    chosen = settings()
    address = find(
        chosen.airflow_home,
        url=chosen.airflow_url,
        user=chosen.airflow_user,
        password=chosen.airflow_password,
        token=chosen.airflow_token,
    )
    with AirflowClient(address) as session:
        yield session


def _begin(session: AirflowClient, run_id: str, conf: dict[str, object]) -> None:
    """Trigger the run; one that is there goes on, from the tasks that failed where it failed."""
    page = session.page(DAG_ID, run_id)
    if session.trigger(DAG_ID, run_id, conf):
        return say(f"Airflow runs it: {page}")
    before = session.run(DAG_ID, run_id)
    if before is None or before.state != "failed":
        return say(f"Airflow has this run already: {page}")
    session.retry_failed(DAG_ID, run_id)
    return say(f"Airflow had this run and it failed; its failed tasks run again: {page}")


def _follow(session: AirflowClient, key: str, run_id: str, *, as_json: bool) -> None:
    from ab_platform.orchestration.following import follow

    try:
        with _shown(key) as show:
            for seen in follow(session, DAG_ID, run_id, pause=time.sleep):
                show(seen)
    except KeyboardInterrupt:
        say(f"\nthe run goes on in Airflow: {session.page(DAG_ID, run_id)}; next: abp status {key} --airflow")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(seen)
    _check(seen, key)
    say(f"{key}: the run ended well; next: abp report {key}")


def _check(seen: Look, key: str) -> None:
    """Check that a run that ended ended well.

    Raises:
        AirflowError: naming the task that failed.
    """
    from ab_platform.errors import AirflowError
    from ab_platform.orchestration.following import culprit

    if seen.run.state == "success":
        return
    guilty = culprit(seen.tasks)
    what = f"task {guilty.name} failed; its log: {guilty.page}" if guilty else f"see {seen.run.page}"
    raise AirflowError(f"the run of {key} failed: {what}; mend the cause and run the same command again")


@contextmanager
def _shown(key: str) -> Iterator[Callable[[Look], None]]:
    """Show looks at a run: a bar on a terminal, else a line for every change; a question once, wherever."""
    asked: set[tuple[str, int]] = set()
    before: tuple[Task, ...] = ()
    with bar(key) as advance:

        def show(seen: Look) -> None:
            nonlocal before
            if err.is_terminal:
                advance(seen.done, len(seen.tasks), _running(seen))
            else:
                _tell_changes(before, seen.tasks)
            before = seen.tasks
            for approval in seen.approvals:
                if (place := (approval.task_id, approval.map_index)) not in asked:
                    asked.add(place)
                    say(_question(key, approval))

        yield show


def _tell_changes(before: tuple[Task, ...], after: tuple[Task, ...]) -> None:
    from ab_platform.orchestration.following import changed

    for task in changed(before, after):
        if task.state not in PASSING:
            again = f", attempt {task.tries}" if task.tries > 1 else ""
            say(escape(f"{now():%H:%M:%S} {task.name}: {str(task.state).replace('_', ' ')}{again}"))


def _question(key: str, approval: Approval) -> str:
    options = escape(" or ".join(f'abp answer {key} "{each}"' for each in approval.options))
    return f"{escape(approval.subject)}\nanswer at {approval.page}\nor with {options}"


def _asked(session: AirflowClient, key: str) -> tuple[Run, Approval]:
    """Return the newest question of an experiment, with its run.

    An answer to a task that does not wait yet would fail it, and the question would be asked again.

    Raises:
        NotFoundError: where none waits.
    """
    from ab_platform.orchestration.following import look

    for run in session.runs(DAG_ID):
        if experiment_of(run) == key and not run.ended:
            for approval in look(session, DAG_ID, run.run_id).approvals:
                return run, approval
    raise NotFoundError(f"no run of {key} waits for an answer; `abp status --airflow` lists the runs")


def _row(seen: Look) -> list[object]:
    run = seen.run
    state = "waits for an answer" if seen.approvals else run.state
    return [experiment_of(run), state, run.started_at, _took(run.started_at, run.ended_at), _running(seen) or None]


def _running(seen: Look) -> str:
    """Return the names of what runs, so that the console prints the brackets of an element as they are."""
    return escape(", ".join(task.name for task in seen.running))


def _took(started_at: datetime | None, ended_at: datetime | None) -> str | None:
    if started_at is None:
        return None
    return str(timedelta(seconds=round(((ended_at or now()) - started_at).total_seconds())))
