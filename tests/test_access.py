"""Tokens hold what they must, open what they say, and end when they are to; a rate lets through what it allows."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.access import SCOPES, RateLimit, Token, ending, hashed, mint, renewed
from ab_platform.errors import AccessError

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = bytes(range(32))
HOUR = timedelta(hours=1)


def made(scopes: Iterable[str] = ("events", "assign"), *, expires_at: datetime | None = None) -> Token:
    token, _ = mint("tv-app", scopes, at=AT, secret=SECRET, expires_at=expires_at)
    return token


def test_the_text_of_a_token_holds_its_id_and_the_whole_secret_and_the_token_holds_neither() -> None:
    token, text = mint("tv-app", ["events"], at=AT, secret=SECRET)
    found = re.fullmatch(r"abp_([0-9a-f]{8})_([A-Za-z0-9_-]{43})", text)
    assert found
    assert found[1] == token.token_id
    assert urlsafe_b64decode(found[2] + "=") == SECRET
    assert token.secret_hash == hashed(text) == sha256(text.encode()).hexdigest()
    assert found[2] not in repr(token)
    assert token.secret_hash not in repr(token)


def test_other_secrets_make_other_tokens_and_the_same_one_the_same() -> None:
    one, other = (mint("tv-app", ["events"], at=AT, secret=secret) for secret in (SECRET, SECRET[::-1]))
    assert one[0].token_id != other[0].token_id
    assert one == mint("tv-app", ["events"], at=AT, secret=SECRET)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_secret_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(AccessError, match=f"the secret has {size} bytes; it must be 32 random ones"):
        mint("tv-app", ["events"], at=AT, secret=bytes(size))


def test_scopes_are_exactly_what_they_say() -> None:
    assert made(["admin"]).scopes == {"admin"}
    assert made(SCOPES).scopes == {"assign", "recommend", "events", "read", "admin"}


def test_an_unknown_scope_names_the_nearest() -> None:
    with pytest.raises(AccessError, match=r"scope 'event' is unknown; did you mean 'events'\?"):
        made(["assign", "event"])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"client": " "}, "client is empty"),
        ({"scopes": frozenset()}, "no scope; give it one or more of assign, recommend, events, read, admin"),
        ({"scopes": frozenset(["everything"])}, "scope 'everything' is unknown; known: admin, assign"),
        ({"experiments": frozenset()}, "for no experiment"),
        ({"experiments": frozenset([""])}, "for no experiment, or one without a key"),
        ({"requests_per_second": 0.0}, r"requests per second are 0.0; they must be above 0"),
        ({"requests_per_second": -1.0}, r"requests per second are -1.0"),
        ({"requests_per_second": float("nan")}, r"requests per second are nan"),
        ({"created_at": AT.replace(tzinfo=None)}, "2026-03-01T12:00:00 has no time zone"),
        ({"revoked_at": AT.replace(tzinfo=None)}, "has no time zone"),
        ({"expires_at": AT}, r"expires at 2026-03-01T12:00:00\+00:00; it must be after"),
    ],
)
def test_a_token_that_breaks_a_rule_is_refused_with_what_is_required(changed: dict[str, object], told: str) -> None:
    with pytest.raises(AccessError, match=told):
        replace(made(), **changed)  # type: ignore[arg-type]


def test_a_token_is_good_until_it_expires_or_is_revoked() -> None:
    token = made(expires_at=AT + 2 * HOUR)
    assert token.valid(AT)
    assert token.valid(AT + 2 * HOUR - timedelta(microseconds=1))
    assert not token.valid(AT + 2 * HOUR)
    revoked = replace(token, revoked_at=AT + HOUR)
    assert not revoked.valid(AT + HOUR)
    assert made().valid(AT + 100_000 * HOUR)


def test_a_token_is_for_its_experiments_or_for_every_one() -> None:
    assert made().allows("any")
    own = replace(made(), experiments=frozenset(["mine"]))
    assert own.allows("mine")
    assert not own.allows("other")


def test_a_renewed_token_may_do_the_same_for_as_long_and_has_another_secret() -> None:
    rights = {"experiments": frozenset(["a"]), "requests_per_second": 5.0}
    old, text = mint("tv-app", ["events", "assign"], at=AT, secret=SECRET, expires_at=AT + 10 * HOUR, **rights)  # type: ignore[arg-type]
    new, new_text = renewed(old, at=AT + 8 * HOUR, secret=SECRET[::-1])
    assert new_text != text
    assert (new.client, new.scopes, new.experiments, new.requests_per_second) == (
        old.client,
        old.scopes,
        old.experiments,
        old.requests_per_second,
    )
    assert (new.created_at, new.expires_at) == (AT + 8 * HOUR, AT + 18 * HOUR)


@pytest.mark.parametrize("end", [{"expires_at": AT + HOUR}, {"revoked_at": AT + HOUR}])
def test_a_token_that_is_refused_is_not_renewed(end: dict[str, datetime]) -> None:
    with pytest.raises(AccessError, match="is revoked or expired; make another with `abp token create`"):
        renewed(replace(made(), **end), at=AT + HOUR, secret=SECRET)  # type: ignore[arg-type]


def test_a_token_ends_after_its_grace_but_no_later_than_it_was_to() -> None:
    assert ending(made(), at=AT, grace=HOUR).expires_at == AT + HOUR
    short = made(expires_at=AT + HOUR)
    assert ending(short, at=AT, grace=24 * HOUR).expires_at == AT + HOUR
    at_once = ending(made(), at=AT, grace=timedelta(0))
    assert not at_once.valid(AT + timedelta(microseconds=1))
    with pytest.raises(AccessError, match="the grace is -3600 s; it must be 0 or more"):
        ending(made(), at=AT, grace=-HOUR)


def test_a_rate_lets_a_burst_through_and_then_says_how_long_to_wait() -> None:
    limit = RateLimit(per_second=2.0, burst=3.0)
    assert [limit.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limit.take(100.0) == pytest.approx(0.5)
    assert limit.take(100.25) == pytest.approx(0.25)
    assert limit.take(100.5) == 0.0
    assert limit.take(100.5) > 0.0
    assert [limit.take(1_000.0) for _ in range(4)][:3] == [0.0, 0.0, 0.0]  # a pause fills it to the burst, no further
    assert limit.take(1_000.0) > 0.0


@given(
    per_second=st.floats(0.01, 1e5),
    burst=st.floats(1.0, 1e3),
    gaps=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=60),
    start=st.floats(0.0, 1e6),
)
def test_in_no_span_of_time_more_gets_through_than_burst_and_rate_allow(
    per_second: float, burst: float, gaps: list[float], start: float
) -> None:
    limit, now = RateLimit(per_second, burst), start
    taken: list[float] = []
    for gap in gaps:
        now += gap / per_second
        taken += [now for _ in range(3) if limit.take(now) == 0.0]
    for first, since in enumerate(taken):
        for last, until in enumerate(taken[first:], start=first):
            assert last - first + 1 <= burst + per_second * (until - since + 1e-6)


@given(per_second=st.floats(0.01, 1e4), burst=st.floats(1.0, 20.0), start=st.floats(0.0, 1e6))
def test_who_waits_as_long_as_told_is_let_in(per_second: float, burst: float, start: float) -> None:
    limit, now = RateLimit(per_second, burst), start
    for _ in range(40):
        now += limit.take(now)
    wait = limit.take(now)
    assert limit.take(now + wait) == 0.0 or wait == 0.0


def test_a_clock_that_goes_back_neither_frees_nor_locks() -> None:
    limit = RateLimit(per_second=1.0, burst=1.0)
    assert limit.take(100.0) == 0.0
    assert limit.take(99.0) == pytest.approx(2.0)
    assert limit.take(101.0) == 0.0


@pytest.mark.parametrize(("per_second", "burst"), [(0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0), (1.0, 0.5)])
def test_a_rate_that_lets_nothing_through_is_refused(per_second: float, burst: float) -> None:
    with pytest.raises(AccessError, match="must be"):
        RateLimit(per_second, burst)
