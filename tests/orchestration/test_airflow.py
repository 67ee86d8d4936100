"""Airflow on this machine and what `abp` asks of it, with a real scheduler: runs, questions, refusals, kills, end."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ab_platform.cli.airflow_runs import DAG_ID, prefix, run_id_of
from ab_platform.cli.demo import example
from ab_platform.errors import AirflowAwayError, AirflowError, NotFoundError
from ab_platform.experiment_file import dump
from ab_platform.orchestration.client import AirflowClient
from ab_platform.orchestration.following import Look, culprit, follow, look, wait_for_dag
from ab_platform.orchestration.processes import marked
from ab_platform.orchestration.workers import IDLE
from tests.orchestration.conftest import PATIENCE_SECONDS, Served, served, wait_until

# One Airflow for all of them, whichever worker runs them.
pytestmark = [pytest.mark.xdist_group("airflow"), pytest.mark.timeout(600)]

DEFINITION = 'key = "x"\n[[arms]]\nname = "multi_vae"\n[[arms]]\nname = "pia"\n'


@pytest.fixture
def client(airflow: Served) -> Iterator[AirflowClient]:
    with airflow.client() as session:
        wait_for_dag(session, DAG_ID, pause=time.sleep)
        yield session


def written(airflow: Served, key: str) -> Path:
    """Write an experiment file."""
    path = airflow.home / f"{key}.toml"
    path.write_text(dump(replace(example(), key=key, salt=key)))
    return path


@contextmanager
def there(file: Path) -> Iterator[None]:
    """Have a file that tells a task what to do."""
    file.touch()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def to_its_end(client: AirflowClient, run_id: str) -> Look:
    *_, last = follow(client, DAG_ID, run_id, pause=time.sleep, seconds=0.5)
    return last


def test_a_launch_is_followed_its_question_answered_and_the_same_launch_again_runs_nothing_twice(
    airflow: Served, client: AirflowClient
) -> None:
    file = written(airflow, "asks")
    with airflow.started("launch", str(file), "--airflow", "--visits", "replay", "--json") as launching:
        wait_until(lambda: waiting(client, prefix("asks")), airflow)
        assert "waits for an answer" in airflow.abp("status", "--airflow").stdout
        wrong = airflow.abp("answer", "asks", "perhaps", exit_code=1).stderr
        assert "'perhaps' is no answer to 'Ship the treatment?'; choose 'ship' or 'stop'" in wrong
        assert "asks: ship" in airflow.abp("answer", "asks", "SH").stderr
        stdout, stderr = launching.communicate(timeout=PATIENCE_SECONDS)
        assert launching.returncode == 0, stderr
    assert re.search(r"Airflow runs it: http://127.0.0.1:\d+/dags/\w+/runs/abp__asks__[0-9a-f]{10}\n", stderr)
    assert "train [pia]: success" in stderr
    assert 'abp answer asks "ship"' in stderr
    ended = json.loads(stdout)
    assert ended["run"]["state"] == "success"
    assert ended["run"]["conf"] == {"definition": file.read_text(), "visits": "replay", "approval": "ask"}
    assert [task["tries"] for task in ended["tasks"]] == [1] * 7

    again = airflow.abp("launch", str(file), "--airflow", "--json")
    assert "has this run already" in again.stderr
    assert json.loads(again.stdout) == ended
    assert len([run for run in client.runs(DAG_ID) if run.run_id.startswith(prefix("asks"))]) == 1
    assert "no run of asks waits" in airflow.abp("answer", "asks", "ship", exit_code=1).stderr


def test_a_run_that_fails_ends_the_command_with_1_and_the_same_command_goes_on_from_what_failed(
    airflow: Served, client: AirflowClient
) -> None:
    file = written(airflow, "breaks")
    words = ("launch", str(file), "--airflow", "--approval", "rule")
    run_id = run_id_of("breaks", file.read_text())
    with there(airflow.home / f"break-{run_id}"):
        assert "next: abp status breaks --airflow" in airflow.abp(*words, "--no-wait").stderr
        failed = airflow.abp(*words, exit_code=1).stderr.splitlines()[-1]
    page = re.escape(f"{client.page(DAG_ID, run_id)}/tasks/replay")
    assert re.fullmatch(rf"abp: the run of breaks failed: task replay failed; its log: {page}; mend .*", failed)
    again = airflow.abp(*words)
    assert "its failed tasks run again" in again.stderr
    tries = {task.name: task.tries for task in client.tasks(DAG_ID, run_id) if task.state == "success"}
    assert tries["replay"] >= 2  # on a busy machine Airflow may have tried it once more by itself
    assert tries["train [pia]"] == tries["prepare"] == 1


def test_ctrl_c_leaves_the_run_going_and_says_so(airflow: Served, client: AirflowClient) -> None:
    file = written(airflow, "left-alone")
    run_id = run_id_of("left-alone", file.read_text())
    with there(airflow.home / f"hold-{run_id}"):
        with airflow.started("launch", str(file), "--airflow", "--approval", "rule") as launching:
            wait_until(lambda: runs_now(client, run_id, "replay", tries=1), airflow)
            launching.send_signal(signal.SIGINT)
            _, stderr = launching.communicate(timeout=PATIENCE_SECONDS)
        assert launching.returncode == 130, stderr
        assert f"the run goes on in Airflow: {client.page(DAG_ID, run_id)}" in stderr
        assert runs_now(client, run_id, "replay", tries=1)
    assert to_its_end(client, run_id).run.state == "success"


def test_what_the_params_refuse_is_said_in_a_sentence(client: AirflowClient) -> None:
    with pytest.raises(AirflowError, match=r"param visits: 'never' is not one of \['auto', 'live', 'replay'\]$"):
        client.trigger(DAG_ID, "refused", {"definition": DEFINITION, "visits": "never"})
    with pytest.raises(AirflowError, match=r"param definition: No value passed"):
        client.trigger(DAG_ID, "refused", {})
    assert client.run(DAG_ID, "refused") is None


def test_a_dag_that_is_not_there_is_named_with_what_to_wait_for(client: AirflowClient) -> None:
    with pytest.raises(NotFoundError, match=r"no DAG 'nothing'.*a new file is read within a minute"):
        client.trigger("nothing", "x", {})
    with pytest.raises(NotFoundError, match="no DAG 'nothing'"):
        wait_for_dag(client, "nothing", pause=lambda _: None)


def test_who_may_not_in_is_told_which_variables_to_check(airflow: Served) -> None:
    for changed, message in (
        ({"password": "wrong"}, r"does not let 'admin' in \(Invalid credentials\); check ABP_AIRFLOW_USER"),
        ({"user": None, "token": "stale"}, r"does not take the token; set ABP_AIRFLOW_TOKEN"),
        ({"user": None}, r"without a name; set ABP_AIRFLOW_USER"),
    ):
        with (
            AirflowClient(replace(airflow.address, **changed)) as stranger,
            pytest.raises(AirflowError, match=message),
        ):
            stranger.runs(DAG_ID)


def test_a_token_that_is_not_taken_any_more_is_renewed(airflow: Served) -> None:
    with AirflowClient(replace(airflow.address, token="stale")) as client:
        assert client.health()["scheduler"] == "healthy"
        client.unpause(DAG_ID)


def test_nobody_at_the_address_is_said_with_the_command_that_starts_airflow() -> None:
    from ab_platform.orchestration.address import Address

    with (
        AirflowClient(Address("http://127.0.0.1:1", "a", "b")) as client,
        pytest.raises(AirflowAwayError, match=r"no Airflow answers at http://127.0.0.1:1 .*`abp airflow`"),
    ):
        client.runs(DAG_ID)


def test_the_pool_of_the_trainings_is_there_and_a_second_start_keeps_its_slots(client: AirflowClient) -> None:
    assert client.make_pool("gpu", 5, description="") is False


def test_a_second_start_says_where_the_first_one_runs(airflow: Served) -> None:
    said = airflow.abp("airflow").stderr
    assert f"runs at {airflow.address.url} (user admin, password {airflow.address.password}) already" in said
    assert airflow.process.poll() is None


def test_what_holds_a_secret_is_for_its_owner_alone(airflow: Served) -> None:
    home = airflow.airflow_home
    names = ("address.json", "secrets.json", "passwords.json", "environment.sh", "supervisord.conf")
    assert {name: (home / name).stat().st_mode & 0o077 for name in names} == dict.fromkeys(names, 0)
    assert str(airflow.address.password) not in repr(airflow.address)


def test_a_scheduler_that_is_killed_comes_back_without_leftovers_and_the_run_ends(
    airflow: Served, client: AirflowClient
) -> None:
    run_id = f"{prefix('killed')}scheduler"
    with there(airflow.home / f"hold-{run_id}"):
        client.trigger(DAG_ID, run_id, {"definition": DEFINITION, "approval": "rule"})
        wait_until(lambda: runs_now(client, run_id, "replay", tries=1), airflow)
        before = marked(airflow.airflow_home, "scheduler")
        kill_root(airflow, "scheduler")
        # A busy machine may take a task up and lose it once more.
        wait_until(lambda: runs_now(client, run_id, "replay", tries=2), airflow, seconds=300)
        assert not any(process.is_running() for process in before)
    last = to_its_end(client, run_id)
    assert (last.run.state, culprit(last.tasks)) == ("success", None)


def test_workers_that_are_killed_while_they_wait_leave_none_that_waits_for_ever(
    airflow: Served, client: AirflowClient
) -> None:
    waiting = [each for each in marked(airflow.airflow_home, "scheduler") if IDLE in " ".join(each.cmdline())]
    assert waiting
    for each in waiting:
        each.kill()
    run_id = f"{prefix('killed')}workers"
    client.trigger(DAG_ID, run_id, {"definition": DEFINITION, "approval": "rule"})
    assert to_its_end(client, run_id).run.state == "success"


def test_an_api_server_that_is_killed_comes_back_and_a_task_that_runs_meanwhile_goes_on(
    airflow: Served, client: AirflowClient
) -> None:
    run_id = f"{prefix('killed')}api"
    with there(airflow.home / f"hold-{run_id}"):
        client.trigger(DAG_ID, run_id, {"definition": DEFINITION, "approval": "rule"})
        wait_until(lambda: runs_now(client, run_id, "replay", tries=1), airflow)
        kill_root(airflow, "api-server")
        with pytest.raises(AirflowAwayError):
            client.health()
        wait_until(lambda: answers(client), airflow)
    last = to_its_end(client, run_id)
    assert last.run.state == "success"
    assert {task.tries for task in last.tasks if task.task_id == "replay"} == {1}


def test_the_end_of_airflow_leaves_no_process(tmp_path: Path) -> None:
    with served(tmp_path) as second:
        home = second.airflow_home
        # Not healthy yet, but the processes that tasks will run in are there: it may be ended at any moment.
        wait_until(lambda: len(marked(home, "scheduler")) > 2, second)
        assert "Airflow is stopped" in second.abp("airflow", "--stop").stderr
        assert second.process.wait(timeout=60) == 0, second.log.read_text()
        assert marked(home) == []
        assert "what ran goes on after the next start" in second.log.read_text()
        assert "no Airflow runs here" in second.abp("airflow", "--stop").stderr


def runs_now(client: AirflowClient, run_id: str, task_id: str, *, tries: int) -> bool:
    """Return whether a task of a run is in this attempt or a later one; not where there is no such run yet."""
    tasks = client.tasks(DAG_ID, run_id) if client.run(DAG_ID, run_id) else ()
    return any((task.task_id, task.state) == (task_id, "running") and task.tries >= tries for task in tasks)


def waiting(client: AirflowClient, beginning: str) -> bool:
    """Return whether a run whose id begins so waits for an answer."""
    found = [run.run_id for run in client.runs(DAG_ID) if run.run_id.startswith(beginning)]
    return any(look(client, DAG_ID, run_id).approvals for run_id in found)


def answers(client: AirflowClient) -> bool:
    with suppress(AirflowAwayError):
        return bool(client.health())
    return False


def kill_root(airflow: Served, component: str) -> None:
    """Kill the one process of a component that the supervisor started, as `kill -9` does."""
    found = marked(airflow.airflow_home, component)
    pids = {process.pid for process in found}
    [root] = [process for process in found if process.ppid() not in pids]
    root.kill()
