"""Every DAG loads: fast, without a warning, with nothing heavy, and with what a team needs to find its way."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ab_platform.errors import OutOfMemoryError, StoreError
from tests.dags.conftest import FOLDER, Loaded

pytestmark = pytest.mark.xdist_group("airflow")

DAGS = {
    "train_arms",
    "run_experiment",
    "assign_users",
    "roll_up_events",
    "analyze_experiments",
    "replay_traffic",
    "retrain",
    "retention",
}
HEAVY = ("torch", "pandas", "scipy", "statsmodels", "ibis", "streamlit", "kubernetes")


def test_every_dag_is_a_file_of_its_name_and_loads(loaded: Loaded) -> None:
    assert loaded.bag.import_errors == {}
    assert {name: Path(dag.fileloc).stem for name, dag in loaded.bag.dags.items()} == {name: name for name in DAGS}


def test_every_dag_loads_in_under_two_seconds(loaded: Loaded) -> None:
    seconds = {stat.file: stat.duration.total_seconds() for stat in loaded.bag.dagbag_stats}
    assert len(seconds) >= len(DAGS)
    assert {file: taken for file, taken in seconds.items() if taken >= 2.0} == {}


def test_no_dag_uses_a_deprecated_path(loaded: Loaded) -> None:
    ours = [str(each.message) for each in loaded.warned if Path(each.filename).is_relative_to(FOLDER)]
    assert ours == []


def test_no_dag_loads_a_heavy_library(tmp_path: Path) -> None:
    names = ", ".join(f"dags.{path.stem}" for path in sorted(FOLDER.glob("*.py")) if path.stem != "__init__")
    program = f"import sys, {names}; print([name for name in {HEAVY} if name in sys.modules])"
    mine = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=mine, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_dag_file_imports_only_what_is_light_at_its_top() -> None:
    allowed = {"airflow", "dags", "ab_platform"}
    light = {"ab_platform.errors", "ab_platform.settings", "ab_platform.experiment"}
    for path in FOLDER.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            strange = [name for name in names if name.split(".")[0] not in allowed | set(sys.stdlib_module_names)]
            ours = [name for name in names if name.startswith("ab_platform") and name not in light]
            assert (path.name, strange, ours) == (path.name, [], [])


def test_every_dag_has_an_owner_tags_and_says_what_it_does(loaded: Loaded) -> None:
    for dag in loaded.bag.dags.values():
        assert dag.tags, dag.dag_id
        assert dag.doc_md, dag.dag_id
        for each in dag.tasks:
            assert each.owner == "experimentation", each.task_id
            told: Any = each
            assert each.task_id == "approve" or each.doc_md or told.python_callable.__doc__, each.task_id


def test_every_task_is_repeated_when_a_worker_or_the_database_goes_away(loaded: Loaded) -> None:
    for dag in loaded.bag.dags.values():
        for each in dag.tasks:
            assert (each.retries or 0) >= 3, each.task_id  # 15, 30 and 60 seconds: longer than a restart takes
            assert each.retry_policy is not None, each.task_id


def test_a_training_that_does_not_fit_fails_at_once_and_a_lost_database_is_waited_for(loaded: Loaded) -> None:
    policy = loaded.bag.dags["train_arms"].get_task("train_arm").retry_policy
    assert policy is not None
    assert policy.evaluate(OutOfMemoryError("the GPU is full"), 1, 4).action.value == "fail"
    assert policy.evaluate(StoreError("the database does not answer"), 1, 4).action.value == "default"


def test_training_goes_to_the_gpu_workers_and_may_take_a_day(loaded: Loaded) -> None:
    for dag in ("train_arms", "run_experiment", "retrain"):
        each = loaded.bag.dags[dag].get_task("train_arm")
        assert (each.queue, each.pool) == ("gpu", "gpu")
        assert each.execution_timeout is not None
        assert each.execution_timeout.total_seconds() == 86_400


def test_an_executor_and_a_pod_of_its_own_come_from_the_settings(loaded: Loaded) -> None:
    pytest.importorskip("kubernetes", reason="the kubernetes extra is not installed")
    from ab_platform.settings import from_environment
    from dags.workplace import gpu_options

    plain = gpu_options(from_environment({}))
    assert not {"executor", "executor_config"} & set(plain)
    assert gpu_options(from_environment({"ABP_GPU_EXECUTOR": "CeleryExecutor"}))["executor"] == "CeleryExecutor"
    chosen = gpu_options(from_environment({"ABP_GPU_IMAGE": "team/abp:1", "ABP_GPUS": "2"}))
    [container] = chosen["executor_config"]["pod_override"].spec.containers
    assert (container.name, container.image, container.resources.limits) == (
        "base",
        "team/abp:1",
        {"nvidia.com/gpu": "2"},
    )


def test_the_roll_up_runs_by_the_hour_and_the_analysis_when_it_is_done(loaded: Loaded) -> None:
    hourly: Any = loaded.bag.dags["roll_up_events"].timetable
    triggered: Any = loaded.bag.dags["analyze_experiments"].timetable
    assert "0 * * * *" in str(hourly.expression)
    assert "user_days" in str(triggered.asset_condition)
    assert all(not dag.catchup for dag in loaded.bag.dags.values())
