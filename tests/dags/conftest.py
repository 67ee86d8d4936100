"""One Airflow for all tests of a process: its database in a temporary folder, the DAGs of the checkout."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ab_platform.settings import Settings, from_environment
from ab_platform.storage.store import Store, open_store

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

FOLDER = Path(__file__).parent.parent.parent / "dags"


@dataclass(frozen=True)
class Loaded:
    """The DAGs, the defaults of their forms, and what was warned of while they were loaded."""

    bag: DagBag
    defaults: dict[str, dict[str, Any]]
    warned: tuple[warnings.WarningMessage, ...]


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """The DAGs as Airflow loads them."""
    if find_spec("airflow") is None:
        pytest.skip("apache-airflow is not installed")
    home = tmp_path_factory.mktemp("airflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(home))
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(FOLDER))
        patch.setenv("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
        from airflow.dag_processing.dagbag import DagBag
        from airflow.utils.db import initdb

        initdb()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            bag = DagBag(dag_folder=str(FOLDER))
        yield Loaded(bag, {name: dict(dag.params.dump()) for name, dag in bag.dags.items()}, tuple(warned))


@pytest.fixture
def home(tmp_path: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a platform in a folder of its own, for every task that is run."""
    monkeypatch.setenv("ABP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ABP_DATABASE_URL", raising=False)
    settings = from_environment()
    settings.home.mkdir()
    (settings.home / "abp.db").write_bytes(migrated_file.read_bytes())
    return settings


@pytest.fixture
def platform(home: Settings) -> Iterator[Store]:
    """The store that the tasks write to."""
    opened = open_store(home.database_url, migrate=False)
    yield opened
    opened.close()


Run = Callable[..., "Ran"]


@dataclass(frozen=True)
class Ran:
    """A DAG run that has ended: its state, and the states of its tasks, of mapped ones by `task[label]`."""

    state: str
    tasks: dict[str, str]

    def of(self, task: str) -> list[str]:
        """Return the states of a task, mapped or not."""
        return [state for name, state in self.tasks.items() if name.partition("[")[0] == task]


@pytest.fixture
def run(loaded: Loaded, home: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a DAG from its first task to its last in this process."""
    slept = time.sleep
    # A test run looks for its next tasks by the second, and a run has many that are skipped.
    monkeypatch.setattr(time, "sleep", lambda seconds: slept(min(seconds, 0.05)))

    def ran(dag: str, **conf: Any) -> Ran:
        # A test run leaves what was typed in the form, which a scheduler's run, in a process of its own, does not.
        done = loaded.bag.dags[dag].test(run_conf={**loaded.defaults[dag], **conf})
        states = {
            f"{each.task_id}[{each.rendered_map_index}]" if each.map_index >= 0 else each.task_id: str(each.state)
            for each in done.get_task_instances()
        }
        return Ran(str(done.state), states)

    return ran
