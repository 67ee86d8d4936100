"""What stands around the table, and the command that serves it."""

import subprocess
import sys
import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

from ab_platform import reporting
from ab_platform.experiment import AnalysisRule, Arm, DataRule, Experiment
from ab_platform.lineage import Launch
from ab_platform.results import Readout
from dashboards.app import MARK, WORDMARK
from dashboards.frame import freshness, heading, notice, stale, standing
from dashboards.launch import APP, command
from tests.readouts import readout

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


def test_a_notice_on_a_page_that_has_its_heading_is_no_second_first_heading() -> None:
    assert notice("Nothing", "wait").count("<h1>") == 1
    assert "<h1>" not in notice("Nothing", "wait", within=True)


def test_a_heading_says_what_is_shown_and_which_question_it_answers() -> None:
    assert "<h1>Health: a&lt;b</h1><p>May it be believed?</p>" in heading("Health", "May it be believed?", of="a<b")
    assert "<p>" not in heading("Experiments")


def test_figures_say_how_old_they_are() -> None:
    text = freshness(readout(), at=datetime(2025, 3, 10, 8, 30, 5, tzinfo=UTC))
    assert "As of 2025-03-09" in text
    assert "newest event 2025-03-09 23:58 UTC" in text
    assert "read 08:30:05 UTC" in text


AT = datetime(2025, 3, 6, 12, tzinfo=UTC)
"""While LAUNCH runs."""


def of_hours_ago(hours: float) -> Readout:
    return replace(readout(), watermark=AT - timedelta(hours=hours))


def test_a_running_experiment_whose_events_stopped_coming_is_called_stale_with_the_next_step() -> None:
    told = stale(of_hours_ago(5), LAUNCH, at=AT)
    assert "the newest event that counts is of 5 hours ago, and the roll-up runs hourly" in told
    assert "`abp analyze pia-vs-multivae`" in told
    assert "of 3 days ago" in stale(of_hours_ago(75), LAUNCH, at=AT)
    shown = freshness(of_hours_ago(5), LAUNCH, at=AT)
    assert 'role="status"' in shown
    assert "<code>abp analyze pia-vs-multivae</code>" in shown


def test_what_is_as_it_should_be_is_not_called_stale() -> None:
    assert stale(of_hours_ago(2), LAUNCH, at=AT) == ""
    assert stale(of_hours_ago(500), replace(LAUNCH, state="stopped"), at=AT) == ""
    assert stale(of_hours_ago(500), LAUNCH, at=LAUNCH.ends_at) == ""
    assert stale(replace(of_hours_ago(500), truth_from="replay"), LAUNCH, at=AT) == ""


def test_the_look_is_that_of_the_reports() -> None:
    chosen = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text())
    for theme, background in (("light", "#fdfcfa"), ("dark", "#15171b")):
        assert chosen["theme"][theme]["backgroundColor"] == background
        assert background in reporting.stylesheet()
    # Else what modules say of their constants would stand on the page.
    assert chosen["runner"]["magicEnabled"] is False
    for mark in (MARK, WORDMARK):
        assert ElementTree.parse(mark).getroot().tag.endswith("svg")


def test_the_dashboard_serves_this_machine_alone_and_reports_to_nobody() -> None:
    words = command(8600)
    assert words[:4] == [sys.executable, "-m", "dashboards", "run"]
    assert Path(words[4]).name == "app.py"
    assert Path(words[4]).is_file()
    for option in ("--server.address=127.0.0.1", "--browser.gatherUsageStats=false", "--server.port=8600"):
        assert option in words
    assert not any(word.startswith("--server.port") for word in command())


def test_the_pages_start_without_torch_airflow_and_pandas() -> None:
    program = (
        "import sys\n"
        "sys.modules.update(torch=None, airflow=None, pandas=None, models=None)\n"  # an import of these fails
        "import dashboards.app\n"
        "from importlib import import_module\n"
        "for members in dashboards.app.SECTIONS.values():\n"
        "    for module, _ in members:\n"
        "        import_module(f'dashboards.pages.{module}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
