"""Airflow's REST interface: trigger a run, ask how it goes, answer what it asks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from ab_platform.errors import AirflowAwayError, AirflowError, NotFoundError
from ab_platform.orchestration.address import Address
from ab_platform.orchestration.refusals import detail_of, is_stale, refusal
from ab_platform.orchestration.runs import Approval, Run, Task

API = "/api/v2"
PAGE_SIZE = 100
TIMEOUT_SECONDS = 30.0

Query = Mapping[str, str | int | bool]


class AirflowClient:
    """A session with one Airflow; it signs in on the first request, and anew when its token is not taken any more."""

    def __init__(self, address: Address, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.address = address
        self._token = address.token
        # A proxy that serves the rest of the world knows nothing of this machine.
        local = urlsplit(address.url).hostname in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(retries=2) if local else None,
            timeout=timeout_seconds,
            trust_env=not local,
        )

    def __enter__(self) -> AirflowClient:
        """Take the session."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._http.close()

    def health(self) -> dict[str, str | None]:
        """Return the health of each component by its name, such as healthy; None where it does not run.

        Raises:
            AirflowAwayError: where nothing answers.
        """
        found = self._send("GET", f"{API}/monitor/health").json()
        return {name: each["status"] for name, each in found.items() if each}

    def know_dag(self, dag_id: str) -> None:
        """Check that a DAG is there.

        Raises:
            NotFoundError: where it is not, with the first error of a file that could not be read.
        """
        if self._ask("GET", f"/dags/{_part(dag_id)}", missing=True) is None:
            raise NotFoundError(f"Airflow at {self.address.url} has no DAG '{dag_id}'{self._why_missing()}")

    def import_error(self) -> tuple[str, str] | None:
        """Return the file and the last line of the first error of a DAG file, or None."""
        found = self._ask("GET", "/importErrors", params={"limit": 1})["import_errors"]
        if not found:
            return None
        return str(found[0]["filename"]), str(found[0]["stack_trace"]).strip().splitlines()[-1].strip()

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's runs start.

        Raises:
            NotFoundError: for a DAG that is not there.
        """
        self.know_dag(dag_id)
        self._ask("PATCH", f"/dags/{_part(dag_id)}", json={"is_paused": False})

    def make_pool(self, name: str, slots: int, *, description: str) -> bool:
        """Make a pool that is not there yet; return whether it is new. One that is there keeps its slots."""
        pool = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        return self._ask("POST", "/pools", json=pool, conflict=True) is not None

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, object]) -> bool:
        """Start a run, unless one of this id is there; a repetition is harmless.

        Returns:
            Whether the run is new.

        Raises:
            NotFoundError: for a DAG that is not there.
            AirflowError: for a conf that the DAG's params refuse.
        """
        self.know_dag(dag_id)
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        return self._ask("POST", f"/dags/{_part(dag_id)}/dagRuns", json=body, conflict=True) is not None

    def retry_failed(self, dag_id: str, run_id: str) -> None:
        """Let the failed tasks of a run, and what waited for them, run again; what is done stays done."""
        self._ask("POST", f"{_run_path(dag_id, run_id)}/clear", json={"dry_run": False, "only_failed": True})

    def run(self, dag_id: str, run_id: str) -> Run | None:
        """Return a run, or None where there is none of this id."""
        found = self._ask("GET", _run_path(dag_id, run_id), missing=True)
        return None if found is None else self._run(found)

    def runs(self, dag_id: str, *, limit: int = 50) -> tuple[Run, ...]:
        """Return the newest runs of a DAG, the newest first; none where the DAG is not there."""
        asked: Query = {"order_by": "-run_after", "limit": limit}
        found = self._ask("GET", f"/dags/{_part(dag_id)}/dagRuns", params=asked, missing=True)
        return () if found is None else tuple(map(self._run, found["dag_runs"]))

    def tasks(self, dag_id: str, run_id: str) -> tuple[Task, ...]:
        """Return the tasks of a run, each element of a mapped one for itself, in the order in which they started."""
        found: list[dict[str, Any]] = []
        while True:
            asked: Query = {"limit": PAGE_SIZE, "offset": len(found), "order_by": "id"}
            page = self._ask("GET", f"{_run_path(dag_id, run_id)}/taskInstances", params=asked)
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                break
        return tuple(sorted((self._task(dag_id, run_id, each) for each in found), key=_order))

    def approvals(self, dag_id: str, run_id: str) -> tuple[Approval, ...]:
        """Return the questions of a run that wait for an answer."""
        asked: Query = {"response_received": False, "limit": PAGE_SIZE}
        found = self._ask("GET", f"{_run_path(dag_id, run_id)}/hitlDetails", params=asked)["hitl_details"]
        return tuple(self._approval(dag_id, run_id, each) for each in found)

    def answer(self, dag_id: str, run_id: str, approval: Approval, choice: str) -> bool:
        """Answer a question; return whether this answer counts, which it does not where one was given before.

        Raises:
            AirflowError: for a choice that is not among the options.
        """
        if choice not in approval.options:
            raise AirflowError(f"{choice!r} is no answer to '{approval.subject}'; choose {_listed(approval.options)}")
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{_part(approval.task_id)}/{approval.map_index}/hitlDetails"
        return self._ask("PATCH", path, json={"chosen_options": [choice]}, conflict=True) is not None

    def page(self, dag_id: str, run_id: str) -> str:
        """Return the link to a run's page."""
        return f"{self.address.url}/dags/{_part(dag_id)}/runs/{_part(run_id)}"

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Query | None = None,
        json: Mapping[str, object] | None = None,
        missing: bool = False,
        conflict: bool = False,
    ) -> Any:
        """Send a request as who signed in, and return the answer's JSON.

        Args:
            method: of HTTP.
            path: under the API.
            params: of the query.
            json: the body.
            missing: whether 404 is an answer: None.
            conflict: whether 409, there is one already, is an answer: None.
        """
        if self._token is None:
            self._token = self._sign_in()
        answer = self._send(method, API + path, params=params, json=json, token=self._token)
        if is_stale(answer) and self.address.user:
            self._token = self._sign_in()
            answer = self._send(method, API + path, params=params, json=json, token=self._token)
        if (missing and answer.status_code == httpx.codes.NOT_FOUND) or (
            conflict and answer.status_code == httpx.codes.CONFLICT
        ):
            return None
        if answer.is_success:
            return answer.json()
        raise refusal(answer, self.address.url)

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Query | None = None,
        json: Mapping[str, object] | None = None,
        token: str | None = None,
    ) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            answer = self._http.request(method, self.address.url + path, params=params, json=json, headers=headers)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise AirflowAwayError(
                f"no Airflow answers at {self.address.url} ({error or type(error).__name__}); "
                "start it with `abp airflow`, or set ABP_AIRFLOW_URL to where it is"
            ) from error
        if answer.is_server_error:
            raise AirflowAwayError(
                f"Airflow at {self.address.url} answers {answer.status_code}: {detail_of(answer)}; "
                "its log says why: api-server.log in the folder of the components' logs"
            )
        return answer

    def _sign_in(self) -> str:
        if not (self.address.user and self.address.password):
            raise AirflowError(
                f"nobody may sign in to Airflow at {self.address.url} without a name; "
                "set ABP_AIRFLOW_USER and ABP_AIRFLOW_PASSWORD, or ABP_AIRFLOW_TOKEN"
            )
        who = {"username": self.address.user, "password": self.address.password}
        answer = self._send("POST", "/auth/token", json=who)
        if answer.is_success:
            return str(answer.json()["access_token"])
        raise AirflowError(
            f"Airflow at {self.address.url} does not let '{self.address.user}' in ({detail_of(answer)}); "
            "check ABP_AIRFLOW_USER and ABP_AIRFLOW_PASSWORD"
        )

    def _why_missing(self) -> str:
        """Return what to add to the message that a DAG is not there."""
        broken = self.import_error()
        if broken is not None:
            return f"; its file may be one that cannot be read: {broken[0]}: {broken[1]}"
        return "; a new file is read within a minute, and `abp airflow` reads the folder `dags`"

    def _run(self, found: Mapping[str, Any]) -> Run:
        dag_id, run_id = str(found["dag_id"]), str(found["dag_run_id"])
        return Run(
            dag_id=dag_id,
            run_id=run_id,
            state=str(found["state"]),
            queued_at=_moment(found["queued_at"]),
            started_at=_moment(found["start_date"]),
            ended_at=_moment(found["end_date"]),
            conf=found["conf"] or {},
            page=self.page(dag_id, run_id),
        )

    def _task(self, dag_id: str, run_id: str, found: Mapping[str, Any]) -> Task:
        task_id, map_index = str(found["task_id"]), int(found["map_index"])
        return Task(
            task_id=task_id,
            map_index=map_index,
            label=found["rendered_map_index"],
            state=found["state"],
            tries=int(found["try_number"]),
            started_at=_moment(found["start_date"]),
            ended_at=_moment(found["end_date"]),
            page=self._task_page(dag_id, run_id, task_id, map_index),
        )

    def _approval(self, dag_id: str, run_id: str, found: Mapping[str, Any]) -> Approval:
        task_id, map_index = str(found["task_instance"]["task_id"]), int(found["task_instance"]["map_index"])
        page = f"{self._task_page(dag_id, run_id, task_id, map_index)}/required_actions"
        return Approval(task_id, map_index, found["subject"], found["body"] or "", tuple(found["options"]), page)

    def _task_page(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        return f"{self.page(dag_id, run_id)}/tasks/{_part(task_id)}{mapped}"


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{_part(dag_id)}/dagRuns/{_part(run_id)}"


def _part(name: str) -> str:
    return quote(name, safe="")


def _listed(options: tuple[str, ...]) -> str:
    return " or ".join(f"'{each}'" for each in options)


def _order(task: Task) -> tuple[bool, datetime | str, str, int]:
    """Return what to sort by: those that started by their start, then the others by name."""
    started = task.started_at is not None
    return (not started, task.started_at or "", task.task_id, task.map_index)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
