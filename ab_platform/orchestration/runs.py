"""What Airflow tells of a run: the run, its tasks, and the questions that wait for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

RUN_ENDED = frozenset({"success", "failed"})
TASK_ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})
TASK_WAITS = frozenset({"awaiting_input", "deferred"})


@dataclass(frozen=True)
class Run:
    """A run of a DAG.

    Attributes:
        dag_id: the DAG.
        run_id: unique within the DAG.
        state: queued, running, success or failed.
        queued_at: when it was triggered.
        started_at: when the scheduler took it up; None before.
        ended_at: None before its end.
        conf: what it was triggered with.
        page: link to the run's page.
    """

    dag_id: str
    run_id: str
    state: str
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    conf: Mapping[str, object]
    page: str

    @property
    def ended(self) -> bool:
        """Return whether nothing of it runs any more."""
        return self.state in RUN_ENDED


@dataclass(frozen=True)
class Task:
    """One task of a run; a mapped task has one for each element.

    Attributes:
        task_id: name in the DAG.
        map_index: place among the elements of a mapped task; -1 where it is not mapped.
        label: name of the element, such as an arm; None where it has none.
        state: Airflow's word, such as running or up_for_retry; None before it is looked at.
        tries: attempts so far, the present one included.
        started_at: of the latest attempt.
        ended_at: of the latest attempt.
        page: link to the task's page, where its log is.
    """

    task_id: str
    map_index: int
    label: str | None
    state: str | None
    tries: int
    started_at: datetime | None
    ended_at: datetime | None
    page: str

    @property
    def name(self) -> str:
        """Return the name for people: of a mapped task, with its element."""
        if self.map_index < 0:
            return self.task_id
        return f"{self.task_id} [{self.label or self.map_index}]"

    @property
    def ended(self) -> bool:
        """Return whether it will not run again by itself."""
        return self.state in TASK_ENDED


@dataclass(frozen=True)
class Approval:
    """A question of a task that waits for a person.

    Attributes:
        task_id: who asks.
        map_index: -1 where the task is not mapped.
        subject: the question.
        body: what helps to decide, as Markdown; empty where nothing is said.
        options: the answers to choose from.
        page: link to where it is answered.
    """

    task_id: str
    map_index: int
    subject: str
    body: str
    options: tuple[str, ...]
    page: str
