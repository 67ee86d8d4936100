"""`abp token`, as a person and a shell use it: the secret is shown once, and nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ab_platform.access import hashed
from ab_platform.cli import token as verbs
from ab_platform.cli.main import app
from ab_platform.errors import AccessError, NotFoundError
from ab_platform.storage.store import Store
from tests.storage.made import KEY, started

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT = re.compile(r"abp_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")


@pytest.fixture
def abp(store: Store, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `abp token` on the store."""
    monkeypatch.setenv("ABP_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    at = iter(AT + timedelta(hours=turn) for turn in range(100))
    monkeypatch.setattr(verbs, "now", lambda: next(at))
    return lambda *words: CliRunner().invoke(app, ["token", *words], env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_only_the_token_is_on_standard_output(store: Store, abp: Callable[..., Result]) -> None:
    done = abp("create", "tv-app", "--scope", "events", "--scope", "assign", "--rate", "100", "--days", "90")
    assert done.exit_code == 0
    assert done.stdout.endswith("\n")
    text = done.stdout.removesuffix("\n")
    assert TEXT.fullmatch(text)
    [made] = store.tokens()
    assert made.secret_hash == hashed(text)
    assert made.scopes == {"events", "assign"}
    assert (made.client, made.requests_per_second) == ("tv-app", 100.0)
    assert (made.created_at, made.expires_at) == (AT, AT + timedelta(days=90))
    assert f"token {made.token_id} of tv-app expires 2026-05-30 12:00 UTC; it is shown this once" in done.stderr
    assert text[13:] not in done.stderr


def test_a_token_is_for_every_experiment_for_ever_unless_it_says_otherwise(
    store: Store, abp: Callable[..., Result]
) -> None:
    assert "never expires" in abp("create", "a", "--scope", "read").stderr
    started(store)
    own = abp("create", "b", "--scope", "read", "--experiment", KEY, "--experiment", "tomorrow")
    assert "'tomorrow' is not launched yet" in own.stderr
    assert f"'{KEY}' is not launched yet" not in own.stderr
    assert [each.experiments for each in store.tokens()] == [None, {KEY, "tomorrow"}]


def test_machines_get_the_token_and_what_it_is_in_one_document(abp: Callable[..., Result]) -> None:
    told = json.loads(abp("create", "tv-app", "--scope", "events", "--scope", "assign", "--json").stdout)
    assert TEXT.fullmatch(told["token"])
    assert told["about"]["token_id"] == told["token"][4:12]
    assert told["about"]["scopes"] == ["assign", "events"]
    assert told["about"]["state"] == "good"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tv-app", "--scope", "event"], "scope 'event' is unknown; did you mean 'events'?"),
        (["tv-app", "--scope", "events", "--rate", "0"], "requests per second are 0.0; they must be above 0"),
        (["tv-app", "--scope", "events", "--days", "-1"], "it must be after"),
        (["", "--scope", "events"], "client is empty"),
    ],
)
def test_what_breaks_a_rule_makes_no_token(
    store: Store, abp: Callable[..., Result], words: list[str], told: str
) -> None:
    done = abp("create", *words)
    assert isinstance(done.exception, AccessError)
    assert told in str(done.exception)
    assert done.stdout == ""
    assert store.tokens() == ()


def test_a_token_needs_a_scope(abp: Callable[..., Result]) -> None:
    assert abp("create", "tv-app").exit_code == 2


def test_the_list_tells_all_but_the_secrets(store: Store, abp: Callable[..., Result]) -> None:
    assert "there is no token yet" in abp("list").stderr
    text = abp("create", "tv-app", "--scope", "recommend", "--rate", "2.5").stdout.strip()
    abp("create", "shop", "--scope", "read", "--days", "0.01")
    gone = abp("create", "old", "--scope", "admin").stdout[4:12]
    abp("revoke", gone)
    shown = abp("list").stdout
    assert re.search(r"tv-app +good +recommend +all +2\.5 +2026-03-01 13:00 +–", shown)
    assert re.search(r"shop +expired", shown)
    assert re.search(r"old +revoked +admin", shown)
    assert text[13:] not in shown
    listed = json.loads(abp("list", "--json").stdout)
    assert [each["state"] for each in listed] == ["good", "expired", "revoked"]
    assert "secret_hash" not in listed[0]


def test_a_rotation_prints_the_new_token_and_leaves_the_old_one_its_grace(
    store: Store, abp: Callable[..., Result]
) -> None:
    old = abp("create", "tv-app", "--scope", "recommend").stdout[4:12]
    done = abp("rotate", old, "--grace-hours", "1.5")
    text = done.stdout.removesuffix("\n")
    assert TEXT.fullmatch(text)
    assert f"token {old} is good for 1.5 h more at most" in done.stderr
    standing, fresh = store.tokens()
    assert fresh.secret_hash == hashed(text)
    assert standing.expires_at == AT + timedelta(hours=2.5)
    assert abp("rotate", old, "--grace-hours", "-1").exit_code == 2


def test_a_revoked_token_is_refused_from_then_on(store: Store, abp: Callable[..., Result]) -> None:
    made = abp("create", "tv-app", "--scope", "recommend").stdout[4:12]
    assert f"token {made} is revoked\n" in abp("revoke", made).stderr
    assert f"token {made} is revoked, as before" in abp("revoke", made).stderr
    [standing] = store.tokens()
    assert not standing.valid(AT + timedelta(hours=1))
    assert isinstance(abp("rotate", made).exception, AccessError)


def test_an_unknown_id_is_one_line(abp: Callable[..., Result]) -> None:
    assert isinstance(abp("revoke", "01234567").exception, NotFoundError)
