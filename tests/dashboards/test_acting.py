"""Stop and ramp from the dashboard: asked once more, done once, and written down under a name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from getpass import getuser
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ab_platform.access import mint
from ab_platform.experiment import RampStep
from ab_platform.lineage import Change
from ab_platform.storage.store import Store
from dashboards.app import PAGES
from tests.dashboards.stored import STARTS_AT, analyse, launch
from tests.dashboards.visiting import html, words
from tests.readouts import readout

KEY = "pia-vs-multivae"
REASON = "Why, for the change log"
APP = "from dashboards.app import main\nmain()"
SCRIPT = """
from ab_platform.settings import dashboard_from_environment
from dashboards import acting, reading, signing_in

person = signing_in.person()
if person is not None:
    launches = {launch.experiment.key: launch for launch in reading.launches(dashboard_from_environment().reading_url)}
    launch = launches["pia-vs-multivae"]
    acting.actions(launch, person)
    acting.WAY(launch)
"""
"""What may be done, and below it what a dialog shows: a test runs no dialog, a browser does."""


@pytest.fixture
def running(stored: Store) -> Store:
    """A store with an experiment that was analysed and runs."""
    launch(stored)
    analyse(stored, readout())
    return stored


def asked(way: str) -> AppTest:
    """Open a page that asks what a dialog asks."""
    return AppTest.from_string(SCRIPT.replace("WAY", way), default_timeout=30).run()


def confirmed(page: AppTest, label: str, **texts: str) -> AppTest:
    """Fill in what is asked and press the button."""
    for name, text in texts.items():
        wanted = {"reason": REASON, "typed": f"Type {KEY} to confirm"}[name]
        next(each for each in page.text_input if each.label == wanted).set_value(text)
    next(each for each in page.button if each.label == label).click()
    return page.run()


def stop(page: AppTest | None = None, /, **texts: str) -> AppTest:
    return confirmed(page or asked("stopping"), "Stop it for good", **texts)


def ramp(percent: float, **texts: str) -> AppTest:
    page = asked("ramping")
    page.number_input[0].set_value(percent)
    return confirmed(page, "Change the traffic", **texts)


def log_of(store: Store) -> list[tuple[str, str | None]]:
    return [(change.action, change.reason) for change in store.changes(KEY)]


def test_a_stop_says_what_it_does_before_it_is_done(running: Store) -> None:
    page = asked("stopping")
    told = " ".join(each.value for each in page.markdown)
    assert "Everybody gets the control from now on" in told
    assert "This cannot be undone" in told
    assert running.experiment(KEY).state == "running"


def test_a_confirmed_stop_stops_and_is_written_down_under_a_name(running: Store) -> None:
    page = stop(reason="  it slows\nevery slate down ", typed=KEY)
    stopped = running.experiment(KEY)
    assert stopped.state == "stopped"
    assert stopped.stopped_at is not None
    assert datetime.now(UTC) - stopped.stopped_at < timedelta(minutes=1)
    assert log_of(running)[-1] == ("stop", f"by {getuser()} on the dashboard: it slows every slate down")
    assert f"{KEY} is stopped." in words(page)
    assert "It is stopped for good" in [each.value for each in page.caption][-1]
    assert not any(each.label == "Stop…" for each in page.button)


def test_the_change_log_is_on_the_page_with_the_newest_first(running: Store) -> None:
    page = stop(reason="enough", typed=KEY)
    assert [each.label for each in page.expander] == ["What was done"]
    log = words(page)
    assert f"UTC Stopped by {getuser()} on the dashboard: enough" in log
    assert log.index("Stopped by") < log.index("Launched, traffic 100 %")


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"reason": "enough", "typed": "pia-vs-multiva"}, "What was typed is 'pia-vs-multiva'; to stop it, type"),
        ({"reason": "enough"}, "What was typed is ''"),
        ({"reason": " ", "typed": KEY}, "The reason is empty"),
    ],
)
def test_a_stop_that_is_not_confirmed_does_nothing_and_says_why(
    running: Store, texts: dict[str, str], told: str
) -> None:
    before = log_of(running)
    page = stop(**texts)
    assert told in words(page)
    assert "othing was done" in words(page)
    assert 'role="alert"' in html(page)
    assert running.experiment(KEY).state == "running"
    assert log_of(running) == before


def test_a_stop_pressed_twice_is_done_once(running: Store) -> None:
    first, second = asked("stopping"), asked("stopping")
    stop(first, reason="enough", typed=KEY)
    page = stop(second, reason="enough", typed=KEY)
    assert [action for action, _ in log_of(running)].count("stop") == 1
    assert f"{KEY} is stopped, as it was before." in words(page)


def test_a_ramp_changes_the_traffic_and_is_written_down(running: Store) -> None:
    page = ramp(12.5, reason="a day to look")
    assert running.experiment(KEY).traffic == 0.125
    change = running.changes(KEY)[-1]
    assert (change.before, change.after) == ({"traffic": 1.0}, {"traffic": 0.125})
    assert change.reason == f"by {getuser()} on the dashboard: a day to look"
    assert f"{KEY} has a traffic of 12.5 %." in words(page)
    assert "Traffic 100 % → 12.5 %" in words(page)


def test_a_ramp_says_that_nobody_changes_arm(running: Store) -> None:
    page = asked("ramping")
    told = " ".join(each.value for each in page.markdown)
    assert "100 % of its users are in now." in told
    assert "Nobody changes arm, upwards or downwards." in told


def test_a_ramp_to_the_same_traffic_or_without_a_reason_does_nothing(running: Store) -> None:
    assert "The traffic is 100 % already; nothing was done" in words(ramp(100.0, reason="once more"))
    assert "The reason is empty" in words(ramp(50.0))
    assert [action for action, _ in log_of(running)] == ["launch"]


def test_an_experiment_with_a_ramp_of_its_own_says_that_a_change_by_hand_asks_no_gate(stored: Store) -> None:
    steps = (RampStep(0.1, 1), RampStep(0.5, 2))
    launched = launch(stored, "other", buckets=(0, 10))
    defined = replace(launched.experiment, key=KEY, layer_buckets=(10, 10_000), ramp=steps, traffic=1.0)
    stored.launch(replace(launched, experiment=defined, traffic=0.1))
    analyse(stored, readout())
    told = " ".join(each.value for each in asked("ramping").markdown)
    assert "10 % from 2025-03-03, 50 % from 2025-03-04, 100 % from 2025-03-06, with a gate before each step" in told
    assert "a change by hand asks none" in told


def test_a_replay_is_stopped_on_its_own_calendar(running: Store) -> None:
    until = STARTS_AT + timedelta(days=4)
    running.note(Change(KEY, STARTS_AT, "replay", None, {"until": until.isoformat()}, None))
    stop(reason="enough", typed=KEY)
    assert running.experiment(KEY).stopped_at == until


def test_a_stop_that_is_not_possible_any_more_is_told_in_a_sentence(running: Store) -> None:
    running.note(Change(KEY, STARTS_AT, "replay", None, {"until": (STARTS_AT + timedelta(days=4)).isoformat()}, None))
    assert running.give_up_events(KEY, stored=0, at=datetime.now(UTC), reason="they are old")
    page = stop(reason="enough", typed=KEY)
    assert "cannot stop at 2025-03-07 00:00 UTC; its raw events were deleted" in words(page)
    assert running.experiment(KEY).state == "running"


@pytest.mark.parametrize("module", ["experiments", "results"])
def test_pages_offer_it_to_who_may_act(running: Store, module: str) -> None:
    page = AppTest.from_string(APP, default_timeout=30).run()
    page.query_params["experiment"] = KEY
    page.switch_page(str(PAGES / f"{module}.py")).run()
    labels = {each.label for each in page.button}
    assert labels & {"Stop…", "Act…"}
    running.stop(KEY, at=datetime.now(UTC))
    st.cache_data.clear()
    assert not {each.label for each in page.run().button} & {"Stop…", "Act…"}


def test_who_may_only_look_is_offered_nothing(running: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    page = signed_in(running, monkeypatch, "read")
    assert not any(each.label in ("Stop…", "Change traffic…") for each in page.button)
    assert any("You may look, not act" in each.value for each in page.caption)


def test_the_name_in_the_log_is_that_of_the_token(running: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(signed_in(running, monkeypatch, "read", "admin"), reason="enough", typed=KEY)
    assert log_of(running)[-1] == ("stop", "by ada on the dashboard: enough")


def test_a_token_revoked_while_the_dialog_is_open_stops_nothing(
    running: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = signed_in(running, monkeypatch, "read", "admin")
    [made] = running.tokens()
    running.revoke_token(made.token_id, at=datetime.now(UTC))
    stop(page, reason="enough", typed=KEY)
    assert "token expired or was revoked" in words(page)
    assert running.experiment(KEY).state == "running"


def test_what_reads_elsewhere_writes_the_platforms_own_and_nothing_where_that_is_not_there(
    running: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ABP_DASHBOARD_DATABASE_URL", running.url)
    monkeypatch.setenv("ABP_DATABASE_URL", f"sqlite:///{tmp_path / 'other.db'}")
    page = stop(reason="enough", typed=KEY)
    assert "There is no database at" in words(page)
    assert not (tmp_path / "other.db").exists()
    monkeypatch.delenv("ABP_DATABASE_URL")
    stop(reason="enough", typed=KEY)
    assert running.experiment(KEY).state == "stopped"


def signed_in(store: Store, monkeypatch: pytest.MonkeyPatch, *scopes: str) -> AppTest:
    monkeypatch.setenv("ABP_DASHBOARD_SIGN_IN", "token")
    made, text = mint("ada", scopes, at=STARTS_AT, secret=b"s" * 32)
    store.add_token(made)
    page = asked("stopping")
    page.text_input[0].set_value(text)
    page.button[0].click()
    return page.run()
