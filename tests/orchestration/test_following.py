"""What is told of a run: what changed, what failed first, whom an answer means, where Airflow is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ab_platform.cli.airflow_runs import experiment_of, meant
from ab_platform.errors import AirflowAwayError
from ab_platform.orchestration.address import Address, find, write
from ab_platform.orchestration.following import changed, culprit
from ab_platform.orchestration.runs import Approval, Run, Task


def task(task_id: str, state: str | None, *, tries: int = 1, map_index: int = -1, minute: int | None = None) -> Task:
    ended = None if minute is None else datetime(2026, 3, 1, 9, minute, tzinfo=UTC)
    return Task(task_id, map_index, None, state, tries, None, ended, "page")


def test_a_change_is_another_state_or_another_attempt() -> None:
    before = (task("a", "running"), task("b", "running"), task("c", None))
    after = (task("a", "running"), task("b", "running", tries=2), task("c", None), task("d", "queued"))
    assert changed(before, after) == after[1:2] + after[3:]


def test_the_culprit_failed_first_and_what_only_waited_for_it_is_none() -> None:
    tasks = (task("a", "upstream_failed", minute=1), task("b", "failed", minute=3), task("c", "failed", minute=2))
    assert culprit(tasks) == tasks[2]
    assert culprit(tasks[:1]) is None


def test_an_element_of_a_mapped_task_has_its_place_until_it_has_a_name() -> None:
    assert task("train", None, map_index=1).name == "train [1]"


def test_an_answer_is_meant_by_how_it_begins_unless_several_begin_so() -> None:
    approval = Approval("ask", -1, "?", "", ("Ship pia", "Ship ract", "Keep the control"), "page")
    assert meant("keep", approval) == "Keep the control"
    assert meant("ship p", approval) == "Ship pia"
    assert meant("ship", approval) == "ship"


@pytest.mark.parametrize(
    ("conf", "key"),
    [
        ({"definition": 'key = "x"'}, "x"),
        ({"definition": None, "experiment": "x.toml"}, "x"),
        ({"definition": "not = [toml"}, "by-hand"),
        ({}, "by-hand"),
    ],
)
def test_a_run_is_of_the_experiment_that_its_conf_names(conf: dict[str, object], key: str) -> None:
    assert experiment_of(Run("d", "by-hand", "queued", None, None, None, conf, "page")) == key


def test_the_password_that_was_left_for_one_address_is_not_sent_to_another(tmp_path: Path) -> None:
    nothing = {"user": None, "password": None, "token": None}
    with pytest.raises(AirflowAwayError, match="run `abp airflow`"):
        find(tmp_path, url=None, **nothing)
    left = Address("http://127.0.0.1:8080", "admin", "secret")
    write(tmp_path, left)
    assert find(tmp_path, url=None, **nothing) == left
    assert find(tmp_path, url="http://127.0.0.1:8080/", **nothing) == left
    assert find(tmp_path, url="https://elsewhere", **nothing) == Address("https://elsewhere")
    given = find(tmp_path, url=None, user="me", password="mine", token=None)
    assert given == Address(left.url, "me", "mine")
