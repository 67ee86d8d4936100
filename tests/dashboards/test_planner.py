"""The planner: its dials, what they come to, and that it agrees with the command line."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from shutil import copyfile
from time import process_time

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from ab_platform.cli.main import app
from ab_platform.experiment_file import dump
from ab_platform.planning import Given, planned
from ab_platform.power_plan import PowerPlan
from ab_platform.simulation.plan import Plan
from ab_platform.simulation.running import simulate
from ab_platform.storage.store import Store, open_store
from ab_platform.stored_past import Analysed, stored_past
from tests.dashboards.stored import analyse, launch
from tests.dashboards.visiting import drawn, html, visit
from tests.readouts import readout
from tests.storage import made

pytestmark = pytest.mark.xdist_group("planner")  # so that the fixtures of the module are made once

USERS = 1_200
NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
KEY = "simulate-uneven-split"
RERUN_SECONDS = 0.2

ORDINARY = {"experiment": KEY}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a simulated experiment, of one treatment that gets a tenth of the users."""
    home = tmp_path_factory.mktemp("home")
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=True)) as store:
        simulate(store, Plan("uneven-split", users=USERS, days=5, seed=1), at=NOW)
    return home


@pytest.fixture
def there(world: Path, home: Path) -> Iterator[Store]:
    """A store of one's own like that one, in the home where the dashboard looks."""
    copyfile(world / "abp.db", home / "abp.db")
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=False)) as store:
        yield store


def plan_of(store: Store, **changed: object) -> PowerPlan:
    """Plan the simulated experiment by what is stored of it, as the page should."""
    launched = store.experiment(KEY)
    stored = store.readout(KEY)
    assert stored is not None
    splits = store.split_history(KEY)
    found = Analysed(launched, stored.lifts[0].as_of, stored.lifts, stored.views, stored.segments, splits)
    came = next(sum(row.counts) for row in splits if row.scope == "all")
    experiment = replace(launched.experiment, analysis=replace(launched.experiment.analysis, lift_to_find=0.03))
    draft = replace(experiment, **changed)  # type: ignore[arg-type]
    return planned(draft, stored_past([found], draft, came), came, given=Given())


def told(page: AppTest) -> str:
    """Return the words of the page, those that stand out not set apart."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", re.sub(r"</?b>", "", html(page)))).split())


def opened(page: AppTest, *parts: str, there: bool = True) -> AppTest:
    """Open parts of the page that are closed at first, or close them."""
    for part in parts:
        page.session_state[part] = there
    return page.run()


def code(page: AppTest, number: int) -> str:
    return str(page.get("code")[number].proto.code_text)


def test_the_page_says_what_the_experiment_finds_and_every_figure_of_its_plan(there: Store) -> None:
    page = visit("planner", **ORDINARY)
    (primary, guardrail) = plan_of(there).rows
    text = told(page)
    assert f"With 5 days and {primary.users:,} users, 10 % of them in new, a lift of" in text
    assert "in play duration per user on Home Card is found with 90 % power (80 % for all rows together)" in text
    for row in (primary, guardrail):
        assert row.users_needed is not None
        assert f"{row.users_needed:,} {row.users:,}" in text
    assert "Data set simulated-uneven-split is not ingested" in text


def test_the_chart_is_drawn_from_the_plan(there: Store) -> None:
    records = drawn(visit("planner", **ORDINARY))
    (primary, guardrail) = plan_of(there).rows
    for row, label in ((primary, "Home Card: play duration per user"), (guardrail, "Home Card: visits per user")):
        points = {(each["users"], each["lift"]) for each in records if each["row"] == label}
        assert {(point.users, point.detectable) for point in row.curve} <= points
        assert (row.users, row.detectable) in points


def test_a_turned_dial_changes_the_plan_and_the_address(there: Store) -> None:
    page = visit("planner", **ORDINARY)
    page.slider(key="days").set_value(14)
    page.select_slider(key="lift").set_value(50.0)
    page.slider(key="traffic").set_value(40).run()
    rule = replace(there.experiment(KEY).experiment.analysis, lift_to_find=0.5)
    (primary, _) = plan_of(there, days=14, traffic=0.4, analysis=rule).rows
    assert f"With 14 days and {primary.users:,} users" in told(page)
    assert f"lift +50 % {primary.users_needed:,}" in told(page)
    assert {name: page.query_params[name] for name in ("days", "lift", "traffic")} == {
        "days": "14",
        "lift": "50",
        "traffic": "40",
    }
    page.slider(key="days").set_value(5).run()
    assert "days" not in page.query_params


def test_a_link_sets_every_dial(there: Store) -> None:
    asked = {"days": "9", "traffic": "50", "lift": "5", "power": "90", "alpha": "0.01", "control": "60"}
    asked |= {"monitoring": "group_sequential", "looks": "4", "saved": "25", "daily": "150", "variation": "1.5"}
    asked |= {"against": "days"}
    page = opened(visit("planner", **ORDINARY, **asked), "file")
    said = tomllib.loads(code(page, 0))
    assert (said["days"], said["traffic"], said["power"], said["alpha"]) == (9, 0.5, 0.9, 0.01)
    assert said["analysis"] == {"monitoring": "group_sequential", "users": 1_350, "looks": 4, "lift_to_find": 0.05}
    assert [arm["weight"] for arm in said["arms"]] == [0.6, 0.4]
    assert "With 9 days and 1,350 users, 40 % of them in new" in told(page)
    assert "covariates save 25 % of the variance" in told(page)
    assert "150 new users a day are given" in told(page)
    assert {name: page.query_params[name] for name in asked} == asked


@pytest.mark.parametrize(
    "asked",
    [{"days": "x"}, {"days": "nan"}, {"lift": "inf"}, {"monitoring": "never"}, {"saved": "-3"}, {"against": "moons"}],
)
def test_a_link_that_asks_for_what_there_is_not_gets_what_there_is(there: Store, asked: dict[str, str]) -> None:
    page = visit("planner", **ORDINARY, **asked)
    assert f"With 5 days and {plan_of(there).rows[0].users:,} users" in told(page)
    assert not set(asked) & set(page.query_params)


def test_a_number_beyond_a_dial_is_its_end(there: Store) -> None:
    assert "With 90 days" in told(visit("planner", **ORDINARY, days="4000"))


@pytest.mark.usefixtures("there")
def test_what_is_closed_is_not_made_and_what_was_set_in_it_still_holds() -> None:
    page = visit("planner", **ORDINARY)
    assert {dial.key for dial in (*page.slider, *page.select_slider, *page.number_input)} == {"days", "traffic", "lift"}
    assert not page.get("code")
    page = opened(page, "more")
    page.slider(key="power").set_value(95)
    page.select_slider(key="alpha").set_value(0.01)
    page.number_input(key="daily").set_value(1_234_567.0).run()
    said = told(page)
    assert "Power 98 % each, 95 % for all rows together, alpha 0.01." in said
    assert f"{5 * 1_234_567:,} users" in said
    page = opened(page, "more", there=False)
    assert "power" not in {dial.key for dial in page.slider}
    assert told(page) == said
    page = opened(page, "more")
    assert (page.slider(key="power").value, page.select_slider(key="alpha").value) == (95, 0.01)
    assert page.number_input(key="daily").value == 1_234_567.0
    page = opened(page, "more", there=False)
    page.selectbox(key="experiment").select(f"{KEY}-before").run()
    page = opened(page, "more")
    assert (page.slider(key="power").value, page.number_input(key="daily").value) == (80, None)


def test_the_lines_and_the_command_give_the_same_figures(there: Store, home: Path) -> None:
    with there.ingesting("simulated-uneven-split", "hash", "nowhere", NOW) as writer:
        writer.write_titles([])
        writer.write_interactions([f"u{number}" for number in range(USERS)], ["t1"] * USERS, None, None)
        writer.finish(bad_rows=0)
    page = opened(visit("planner", **ORDINARY, days="9", lift="20", variation="1.5", saved="10", daily="200"), "file")
    experiment, said = there.experiment(KEY).experiment, tomllib.loads(code(page, 0))
    del said["arms"]
    rule = replace(experiment.analysis, **said.pop("analysis"))
    file = home / "next.toml"
    file.write_text(dump(replace(experiment, **said, analysis=rule)), encoding="utf-8")
    command = shlex.split(code(page, 1))
    assert command[:3] == ["abp", "power", f"{KEY}-next.toml"]
    done = CliRunner().invoke(app, ["power", str(file), *command[3:], "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == 2
    for row in rows:
        assert f"{row['users_needed']:,} {row['users']:,}" in told(page)


def test_the_dials_of_one_experiment_are_not_those_of_the_next(there: Store) -> None:
    page = visit("planner", **ORDINARY, days="40", saved="25")
    page.selectbox(key="experiment").select(f"{KEY}-before").run()
    assert page.slider(key="days").value == 7
    assert "With 7 days" in told(page)
    assert not {"days", "saved"} & set(page.query_params)


def test_a_draft_is_made_of_rows_and_arms(there: Store) -> None:
    rows = "home_card.play_duration,movie_card.click_rate_per_user"
    page = opened(visit("planner", experiment="a new draft", rows=rows, treatments="3"), "file")
    text = told(page)
    assert "users an arm, a lift of each treatment of" in text
    assert "Movie Card: click-through rate (% of users who viewed) primary, each treatment" in text
    said = tomllib.loads(code(page, 0))
    assert [arm["name"] for arm in said["arms"]] == ["control", "treatment_1", "treatment_2", "treatment_3"]
    assert code(page, 1) == "abp power my-experiment.toml"
    page.multiselect(key="rows").set_value([]).run()
    assert "rows" not in page.query_params
    assert "Movie Card" not in told(page)


def test_a_row_that_nothing_past_tells_is_assumed_and_says_so(there: Store) -> None:
    page = visit("planner", experiment="a new draft", rows="home_card.latency")
    assert "coefficient of variation 1.00 (assumed: nothing past tells it)" in told(page)


@pytest.mark.usefixtures("there")
def test_users_too_few_to_show_anything_are_told_in_a_sentence() -> None:
    text = told(visit("planner", **ORDINARY, daily="1"))
    assert "With 5 days, nothing can be shown in play duration per user on Home Card:" in text
    assert "5 users are too few to show anything" in text


@pytest.mark.usefixtures("there")
def test_a_dial_is_turned_in_no_time() -> None:
    page = visit("planner", **ORDINARY)
    took = []
    for days in (10, 20, 30, 40, 50):
        begun = process_time()  # what else the machine does is not on test
        page.slider(key="days").set_value(days).run()
        took.append(process_time() - begun)
    assert sorted(took)[2] < RERUN_SECONDS


# States ---------------------------------------------------------------------------------------------------------------


def test_with_nothing_ingested_the_page_says_how_to_begin(stored: Store) -> None:
    assert "nothing is ingested yet; run abp demo" in told(visit("planner"))


def test_a_data_set_that_nobody_knows_the_users_of_is_told(stored: Store) -> None:
    launch(stored)
    text = told(visit("planner"))
    assert "data set 'small' is not ingested and no experiment on it is analysed" in text
    assert "run abp ingest small" in text


def test_an_experiment_that_is_not_analysed_is_planned_by_what_is_assumed(stored: Store) -> None:
    launch(stored)
    with stored.ingesting("small", "hash", "nowhere", made.START) as writer:
        writer.write_titles([])
        writer.write_interactions(["ann", "bob", *(f"u{number}" for number in range(998))], ["t1"] * 1_000, None, None)
        writer.finish(bad_rows=0)
    text = told(visit("planner"))
    assert "With 7 days and 500 users an arm" in text
    assert "assumed: all users come, evenly over the planned days" in text


def test_figures_of_the_stored_rows_are_those_that_are_planned_with(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    assert "(measured in pia-vs-multivae over 7 days)" in told(visit("planner"))


def test_a_name_does_not_become_a_tag(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    page = visit("planner", experiment="<img src=x>")
    assert "<img" not in html(page)
    assert "experiment '<img src=x>', which is not here" in told(page)
