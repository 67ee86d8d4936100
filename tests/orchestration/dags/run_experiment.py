"""A stand-in for the platform's DAG: the same name and params, tasks that do next to nothing.

The file `hold-RUN_ID` in ABP_HOME keeps the task `replay` of a run waiting; the file `break-RUN_ID` makes it fail.
"""

from __future__ import annotations

import os
import time
import tomllib
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, dag, get_current_context, task


@dag(
    schedule=None,
    params={
        "definition": Param(type="string", minLength=1),
        "visits": Param("auto", type="string", enum=["auto", "live", "replay"]),
        "approval": Param("ask", type="string", enum=["ask", "rule"]),
    },
    default_args={"retries": 2, "retry_delay": 1},
)
def run_experiment() -> None:
    @task
    def prepare() -> list[str]:
        definition = tomllib.loads(get_current_context()["params"]["definition"])
        return [str(arm["name"]) for arm in definition["arms"]]

    @task(map_index_template="{{ arm }}", pool="gpu")
    def train(arm: str) -> str:
        get_current_context()["arm"] = arm  # type: ignore[typeddict-unknown-key]
        return arm

    @task(retries=0)
    def replay() -> None:
        home, run_id = Path(os.environ["ABP_HOME"]), get_current_context()["run_id"]
        while (home / f"hold-{run_id}").exists():
            time.sleep(0.2)
        if (home / f"break-{run_id}").exists():
            raise RuntimeError("broken on purpose")

    @task.branch
    def how_to_decide() -> str:
        return "ask" if get_current_context()["params"]["approval"] == "ask" else "decide"

    @task(trigger_rule="none_failed_min_one_success")
    def decide() -> None:
        pass

    ask = HITLOperator(task_id="ask", subject="Ship the treatment?", options=["ship", "stop"], body="Lift: +3 %")
    branch: Any = how_to_decide()
    train.expand(arm=prepare()) >> replay() >> branch >> [ask, decided := decide()]
    ask >> decided


run_experiment()
