"""The door of the dashboard: who is let in, to see what, and to do what."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ab_platform.access import Scope, mint
from ab_platform.errors import AccessError, PlatformError
from ab_platform.settings import DashboardSettings, dashboard_from_environment
from ab_platform.storage.store import Store
from dashboards import signing_in
from dashboards.app import PAGES
from dashboards.person import Person
from dashboards.signing_in import of_claims, of_token
from dashboards.tries import MOST_ADDRESSES, Tries
from tests.dashboards.stored import analyse, launch
from tests.dashboards.visiting import html, words
from tests.readouts import readout

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _forget_tries() -> None:
    """Begin with nobody having tried: the process remembers tries by address."""
    st.cache_resource.clear()


@pytest.fixture
def by_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABP_DASHBOARD_SIGN_IN", "token")


@pytest.fixture
def by_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABP_DASHBOARD_SIGN_IN", "oidc")
    monkeypatch.setenv("ABP_DASHBOARD_OPERATORS", "ada@example.com")


@pytest.fixture
def two(stored: Store) -> Store:
    """A store with two experiments that were analysed."""
    for key, buckets in (("first", (0, 5000)), ("second", (5000, 10_000))):
        launch(stored, key, buckets=buckets)
        analyse(stored, readout(), key=key)
    return stored


def token(
    store: Store,
    *scopes: Scope,
    client: str = "ada",
    experiments: tuple[str, ...] | None = None,
    expires_at: datetime | None = None,
) -> str:
    made, text = mint(
        client,
        scopes,
        at=NOW - timedelta(days=2),
        secret=client.encode().ljust(32, b"."),
        experiments=experiments,
        expires_at=expires_at,
    )
    store.add_token(made)
    return text


def fresh(user: dict[str, object] | None = None) -> AppTest:
    """Make a visitor of the app as it is served: a folder `pages` beside the script would be run past the door here."""
    page = AppTest.from_string("from dashboards.app import main\nmain()", default_timeout=30)
    page.user = user or {}
    return page


def arrive(user: dict[str, object] | None = None) -> AppTest:
    return fresh(user).run()


def sign_in(page: AppTest, text: str) -> AppTest:
    page.text_input[0].set_value(text)
    page.button[0].click()
    return page.run()


def signed_in(text: str) -> AppTest:
    return sign_in(arrive(), text)


def inside(page: AppTest) -> bool:
    return "Experiment Health Day" in words(page)


def test_on_a_laptop_nobody_is_asked_and_everything_may_be_done(two: Store) -> None:
    page = arrive()
    assert inside(page)
    assert page.session_state["person"] == Person(getpass.getuser(), may_act=True)
    assert not page.sidebar.button


@pytest.mark.usefixtures("by_token")
def test_without_a_token_nothing_is_shown(two: Store) -> None:
    page = arrive()
    assert "Sign in" in words(page)
    assert "first" not in words(page)
    assert not inside(page)


@pytest.mark.usefixtures("by_token")
@pytest.mark.parametrize(
    "module", ["results", "health", "over_time", "segments", "offline", "latent", "planner", "user"]
)
def test_no_page_is_reached_past_the_door(two: Store, module: str) -> None:
    page = arrive()
    page.query_params["experiment"] = "first"
    page.switch_page(str(PAGES / f"{module}.py")).run()
    assert "Sign in" in words(page)
    assert "first" not in words(page)


@pytest.mark.usefixtures("by_token")
def test_a_token_with_the_scope_read_may_look(two: Store) -> None:
    page = signed_in(token(two, "read"))
    assert inside(page)
    assert page.session_state["person"] == Person("ada", may_act=False)
    assert "ada · may look" in [each.value for each in page.sidebar.caption]
    assert [each.label for each in page.sidebar.button] == ["Sign out"]


@pytest.mark.usefixtures("by_token")
def test_a_token_with_the_scope_admin_besides_may_act(two: Store) -> None:
    page = signed_in(token(two, "read", "admin"))
    assert page.session_state["person"] == Person("ada", may_act=True)


@pytest.mark.usefixtures("by_token")
def test_a_token_of_one_experiment_shows_no_other(two: Store) -> None:
    page = signed_in(token(two, "read", experiments=("second",)))
    assert "second" in words(page)
    assert "first" not in words(page)
    page.query_params["experiment"] = "first"
    page.switch_page(str(PAGES / "results.py")).run()
    assert "experiment 'first', which is not here; known: second" in words(page)


@pytest.mark.usefixtures("by_token")
def test_wrong_expired_revoked_and_unfitting_tokens_are_told_apart_by_nobody(two: Store) -> None:
    good = token(two, "read")
    expired = token(two, "read", client="bo", expires_at=NOW - timedelta(days=1))
    revoked = token(two, "read", client="cy")
    two.revoke_token(revoked.split("_")[1], at=NOW)
    unfitting = [token(two, "admin", client="di"), token(two, "recommend", client="ed")]
    said = set()
    for text in (good[:-1], "", "abp_00000000_", expired, revoked, *unfitting):
        st.cache_resource.clear()
        page = signed_in(text)
        assert not inside(page)
        said.add(words(page))
    assert len(said) == 1
    assert "This token does not open the dashboard" in said.pop()


@pytest.mark.usefixtures("by_token")
def test_a_token_is_not_kept_in_the_session_nor_in_the_address(two: Store) -> None:
    text = token(two, "read")
    page = signed_in(text)
    page.run()
    kept = repr(page.session_state)
    assert "Person(name='ada'" in kept
    assert text not in kept
    assert text.split("_")[2] not in kept
    assert text not in str(dict(page.query_params))


@pytest.mark.usefixtures("by_token")
def test_a_token_that_is_revoked_meanwhile_closes_the_page(two: Store) -> None:
    text = token(two, "read")
    page = signed_in(text)
    two.revoke_token(text.split("_")[1], at=NOW)
    st.cache_data.clear()  # as a few seconds do
    page.run()
    assert not inside(page)
    assert "You were signed out: the token expired or was revoked" in words(page)


@pytest.mark.usefixtures("by_token")
def test_who_signs_out_is_out(two: Store) -> None:
    page = signed_in(token(two, "read"))
    page.sidebar.button[0].click().run()
    assert not inside(page)
    assert "person" not in page.session_state
    page.run()
    assert not inside(page)


@pytest.mark.usefixtures("by_token")
def test_who_guesses_too_fast_waits_even_with_the_right_token(two: Store) -> None:
    signing_in._tries().take(signing_in.HERE, monotonic() + 60)  # as if the next minute's tries were made
    page = signed_in(token(two, "read"))
    assert not inside(page)
    assert "Too many tries; wait" in words(page)


def test_guesses_from_elsewhere_slow_nobody_else_down() -> None:
    tries = Tries()
    waits = [tries.take("203.0.113.7", now=0.0) for _ in range(6)]
    assert waits == [0.0, 0.0, 0.0, 0.0, 0.0, 5.0]
    assert tries.take("198.51.100.1", now=0.0) == 0.0
    assert tries.take("203.0.113.7", now=5.0) == 0.0


def test_a_crowd_of_addresses_takes_no_more_room_than_it_may() -> None:
    tries = Tries()
    for number in range(MOST_ADDRESSES + 50):
        assert tries.take(f"address {number}", now=0.0) == 0.0
    assert len(vars(tries)["_limits"]) == MOST_ADDRESSES


@pytest.mark.usefixtures("by_token")
def test_a_database_that_is_away_is_told_at_the_door(home: Path) -> None:
    page = sign_in(arrive(), "abp_00000000_x")
    assert "The dashboard is closed" in words(page)
    assert "there is no database" in words(page)


def test_without_sign_in_another_address_than_this_machines_is_refused(two: Store) -> None:
    before = st.get_option("server.address")
    st.config.set_option("server.address", "0.0.0.0")
    try:
        page = arrive()
    finally:
        st.config.set_option("server.address", before)
    assert not inside(page)
    assert "without sign-in it may be read on this machine only, not on 0.0.0.0" in words(page)


@pytest.mark.usefixtures("by_provider")
def test_whom_the_provider_does_not_know_is_asked_to_sign_in(two: Store) -> None:
    page = arrive()
    assert "your organisation's sign-in" in words(page)
    assert not inside(page)


@pytest.mark.usefixtures("by_provider")
def test_a_sign_in_that_is_not_set_up_names_what_is_missing(two: Store) -> None:
    page = arrive()
    page.button[0].click().run()
    missing = ".streamlit/secrets.toml" if find_spec("authlib") else "pip install 'ab-platform[dashboard-oidc]'"
    assert missing in words(page)
    assert not inside(page)


@pytest.mark.usefixtures("by_provider")
def test_an_operator_may_act_and_everyone_else_may_look(two: Store) -> None:
    for address, acts in (("Ada@example.com", True), ("bo@example.com", False)):
        page = arrive({"is_logged_in": True, "email": address, "email_verified": True})
        assert inside(page)
        assert page.session_state["person"] == Person(address.lower(), may_act=acts)


@pytest.mark.usefixtures("by_provider")
def test_who_signs_out_at_the_provider_is_out(two: Store) -> None:
    page = arrive({"is_logged_in": True, "email": "ada@example.com"})
    assert inside(page)
    page.sidebar.button[0].click().run()
    assert page.user == {"is_logged_in": False}
    assert not inside(page)


@pytest.mark.usefixtures("by_provider")
def test_who_may_neither_look_nor_act_is_told_whom_to_ask(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABP_DASHBOARD_READERS", "example.org")
    page = arrive({"is_logged_in": True, "email": "eve@example.com"})
    assert not inside(page)
    assert "eve@example.com may not look at this dashboard; ask whoever runs it" in words(page)
    assert [each.label for each in page.button] == ["Sign out"]


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({}, "gives no e-mail address"),
        ({"email": "eve@example.com", "email_verified": False}, "has not verified eve@example.com"),
        ({"email": "eve@example.org"}, "may not look"),
        ({"email": "eve@notexample.com"}, "may not look"),
        ({"email": "eve@example.com.evil.org"}, "may not look"),
    ],
)
def test_a_claim_that_does_not_do_is_refused_with_the_reason(claims: dict[str, object], told: str) -> None:
    with pytest.raises(AccessError, match=told):
        of_claims(claims, DashboardSettings("sqlite:///x.db", readers=frozenset({"example.com"})))


@pytest.mark.parametrize("readers", ["example.com", "@example.com", "bo@example.com", "x.org, BO@EXAMPLE.COM"])
def test_readers_are_addresses_or_domains(readers: str) -> None:
    chosen = dashboard_from_environment({"ABP_DASHBOARD_READERS": readers})
    assert of_claims({"email": "Bo@example.com"}, chosen) == Person("bo@example.com", may_act=False)


def test_an_operator_may_always_look() -> None:
    chosen = dashboard_from_environment({"ABP_DASHBOARD_READERS": "x.org", "ABP_DASHBOARD_OPERATORS": "ada@y.org"})
    assert of_claims({"email": "ada@y.org"}, chosen) == Person("ada@y.org", may_act=True)


def test_a_token_is_a_person_until_it_ends() -> None:
    made, _ = mint("ada", ["read", "admin"], at=NOW, secret=b"s" * 32, expires_at=NOW + timedelta(days=1))
    assert of_token(made, at=NOW) == Person("ada", may_act=True)
    assert of_token(made, at=NOW + timedelta(days=1)) is None


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"ABP_DASHBOARD_SIGN_IN": "tokens"}, "did you mean 'token'?"),
        ({"ABP_DASHBOARD_OPERATORS": "example.com"}, "an operator is one whole e-mail address"),
        ({"ABP_DASHBOARD_OPERATORS": "@example.com"}, "an operator is one whole e-mail address"),
    ],
)
def test_a_setting_that_would_open_too_wide_is_refused(environment: dict[str, str], told: str) -> None:
    with pytest.raises(PlatformError, match=told):
        dashboard_from_environment(environment)


def test_a_wrong_setting_closes_the_dashboard_and_says_why(two: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABP_DASHBOARD_SIGN_IN", "password")
    page = arrive()
    assert not inside(page)
    assert "ABP_DASHBOARD_SIGN_IN is 'password'; known: off, oidc, token" in words(page)
    assert html(page).count("<h1>") == 1
