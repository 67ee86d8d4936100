"""What stands around the table, and the command that serves it."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from ab_platform.experiment import AnalysisRule, Arm, DataRule, Experiment
from ab_platform.lineage import Launch
from dashboards.frame import notice, standing
from dashboards.launch import command

ARMS = (Arm("old", "popularity", 0.5, control=True), Arm("new", "ease", 0.5))
LAUNCH = Launch(
    experiment=Experiment("old-vs-new", DataRule("small"), ARMS, hypothesis="Linear is <enough>."),
    artifacts={},
    state="running",
    traffic=0.5,
    launched_at=datetime(2025, 3, 3, 9, tzinfo=UTC),
    starts_at=datetime(2025, 3, 3, tzinfo=UTC),
    ends_at=datetime(2025, 3, 10, tzinfo=UTC),
)


def test_a_look_before_the_planned_end_is_called_one() -> None:
    text = standing(LAUNCH, date(2025, 3, 6))
    assert "Running; day 4 of 7, traffic 50 %." in text
    assert "made for one look at the planned end" in text


def test_a_look_that_was_planned_for_is_not_called_too_early() -> None:
    for rule, told in (
        (AnalysisRule("sequential", users=5000), "hold at every look"),
        (AnalysisRule("group_sequential", users=5000, looks=3), "hold at the planned looks"),
    ):
        text = standing(replace(LAUNCH, experiment=replace(LAUNCH.experiment, analysis=rule)), date(2025, 3, 6))
        assert told in text
        assert "one look" not in text


def test_the_last_planned_day_is_the_end() -> None:
    text = standing(LAUNCH, date(2025, 3, 9))
    assert "day 7 of 7" in text
    assert "one look" not in text


def test_days_after_the_end_do_not_count_on() -> None:
    assert "Stopped; day 7 of 7" in standing(replace(LAUNCH, state="stopped"), date(2025, 3, 20))


def test_a_hypothesis_does_not_become_a_tag() -> None:
    assert "Hypothesis: Linear is &lt;enough&gt;." in standing(LAUNCH, date(2025, 3, 9))


def test_a_notice_sets_commands_apart_and_escapes_the_rest() -> None:
    text = notice("Nothing", "a <b> is missing; run `abp analyze a&b`")
    assert "a &lt;b&gt; is missing; run <code>abp analyze a&amp;b</code>." in text


def test_the_dashboard_serves_this_machine_alone_and_reports_to_nobody() -> None:
    words = command(8600)
    assert words[:4] == [sys.executable, "-m", "streamlit", "run"]
    assert Path(words[4]).name == "app.py"
    assert Path(words[4]).is_file()
    for option in ("--server.address=127.0.0.1", "--browser.gatherUsageStats=false", "--server.port=8600"):
        assert option in words
    assert not any(word.startswith("--server.port") for word in command())


def test_the_pages_start_without_torch_airflow_and_pandas() -> None:
    program = (
        "import sys\n"
        "sys.modules.update(torch=None, airflow=None, pandas=None, models=None)\n"  # an import of these fails
        "import dashboards.app, dashboards.pages.table2\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
