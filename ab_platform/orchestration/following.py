"""Follow a run to its end: what changed, what waits for a person, what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ab_platform.errors import AirflowAwayError, NotFoundError
from ab_platform.orchestration.client import AirflowClient
from ab_platform.orchestration.runs import TASK_WAITS, Approval, Run, Task

SECONDS_BETWEEN_LOOKS = 2.0
PATIENCE_SECONDS = 180.0
"""A component that was killed is back within a minute; a busy machine takes longer."""

Pause = Callable[[float], None]


@dataclass(frozen=True)
class Look:
    """A run at one moment.

    Attributes:
        run: the run.
        tasks: all of its tasks.
        approvals: the questions that wait for a person.
    """

    run: Run
    tasks: tuple[Task, ...]
    approvals: tuple[Approval, ...]

    @property
    def done(self) -> int:
        """Return how many tasks ended."""
        return sum(task.ended for task in self.tasks)

    @property
    def running(self) -> tuple[Task, ...]:
        """Return the tasks that run or wait for a person."""
        return tuple(task for task in self.tasks if task.state in TASK_WAITS | {"running"})


def look(client: AirflowClient, dag_id: str, run_id: str) -> Look:
    """Look at a run.

    Raises:
        NotFoundError: where there is none of this id.
    """
    run = client.run(dag_id, run_id)
    if run is None:
        raise NotFoundError(f"DAG '{dag_id}' has no run '{run_id}'; `abp status --airflow` lists those that are there")
    tasks = client.tasks(dag_id, run_id)
    waits = any(task.state in TASK_WAITS for task in tasks)
    return Look(run, tasks, client.approvals(dag_id, run_id) if waits else ())


def follow(
    client: AirflowClient, dag_id: str, run_id: str, *, pause: Pause, seconds: float = SECONDS_BETWEEN_LOOKS
) -> Iterator[Look]:
    """Look at a run again and again until it ends; the last look is at its end.

    An Airflow that is away for a while, such as one whose server was killed, is waited for.

    Args:
        client: of the Airflow.
        dag_id: the DAG.
        run_id: the run.
        pause: waits for so many seconds, as `time.sleep`.
        seconds: between two looks.

    Raises:
        AirflowAwayError: where it stays away.
    """
    silent = 0.0
    while True:
        try:
            seen = look(client, dag_id, run_id)
        except AirflowAwayError:
            silent += seconds
            if silent > PATIENCE_SECONDS:
                raise
        else:
            silent = 0.0
            yield seen
            if seen.run.ended:
                return
        pause(seconds)


def wait_for_dag(
    client: AirflowClient, dag_id: str, *, pause: Pause, seconds: float = SECONDS_BETWEEN_LOOKS, patience: float = 60.0
) -> None:
    """Wait until a DAG's file is read, which takes a while after a start; not where a file cannot be read.

    Raises:
        NotFoundError: where the DAG does not come.
    """
    for _ in range(int(patience / seconds)):
        try:
            return client.know_dag(dag_id)
        except NotFoundError:
            if client.import_error() is not None:
                raise
        pause(seconds)
    return client.know_dag(dag_id)


def changed(before: Sequence[Task], after: Sequence[Task]) -> tuple[Task, ...]:
    """Return the tasks whose state or attempt is another than before, as they are now."""
    known = {(task.task_id, task.map_index): (task.state, task.tries) for task in before}
    return tuple(
        task
        for task in after
        if task.state is not None and known.get((task.task_id, task.map_index)) != (task.state, task.tries)
    )


def culprit(tasks: Sequence[Task]) -> Task | None:
    """Return the task that failed first, or None where none did."""
    failed = [task for task in tasks if task.state == "failed"]
    return min(failed, key=lambda task: (task.ended_at is None, str(task.ended_at)), default=None)
