"""Who may ask the service for what, and how often: tokens with scopes, and the rate that each client is held to."""

from __future__ import annotations

import hashlib
import math
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, cast, get_args

from ab_platform.errors import AccessError, nearest

Scope = Literal["assign", "recommend", "events", "read", "admin"]

SCOPES: tuple[Scope, ...] = get_args(Scope)

SECRET_BYTES = 32

_ROUNDING_SECONDS = 1e-9
"""Who waited as long as they were told is let in, however the clock's floats round."""


@dataclass(frozen=True)
class Token:
    """What a client shows to be let in, as the platform keeps it: without the secret.

    Scopes are exactly what they say: none of them holds another, `admin` neither.

    Attributes:
        token_id: 8 hex digits; for people, it opens nothing.
        client: who has it.
        secret_hash: of the token's text, by `hashed`.
        scopes: what it may ask for.
        experiments: keys it is for; None for every experiment.
        requests_per_second: that the client may send; None for any number.
        created_at: when it was made.
        expires_at: from when on it is refused; None for never.
        revoked_at: from when on it is refused, since somebody said so; None where nobody did.
    """

    token_id: str
    client: str
    secret_hash: str = field(repr=False)
    scopes: frozenset[Scope]
    experiments: frozenset[str] | None
    requests_per_second: float | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def __post_init__(self) -> None:
        """Check what every token must satisfy.

        Raises:
            AccessError: for an empty client, no scope or an unknown one, no experiment or an unnamed one, a rate that
                lets nothing through, a moment without a zone, or an end that is not after the beginning.
        """
        if not self.client.strip():
            raise AccessError("the token's client is empty; name who will have it, such as tv-app")
        _check_scopes(self.scopes)
        if self.experiments is not None and not (self.experiments and all(self.experiments)):
            raise AccessError("the token is for no experiment, or one without a key; name one, or leave them all out")
        rate = self.requests_per_second
        if rate is not None and not (math.isfinite(rate) and rate > 0.0):
            raise AccessError(f"requests per second are {rate}; they must be above 0, or left out for no limit")
        self._check_moments()

    def _check_moments(self) -> None:
        moments = (self.created_at, self.expires_at, self.revoked_at)
        for moment in moments:
            if moment is not None and moment.tzinfo is None:
                raise AccessError(f"a token's time {moment.isoformat()} has no time zone; give it in UTC, with +00:00")
        if self.expires_at is not None and self.expires_at <= self.created_at:
            raise AccessError(
                f"the token expires at {self.expires_at.isoformat()}; it must be after {self.created_at.isoformat()}, "
                "when it is made"
            )

    def valid(self, at: datetime) -> bool:
        """Tell whether it lets anyone in at a moment."""
        ends = (self.expires_at, self.revoked_at)
        return all(end is None or at < end for end in ends)

    def allows(self, experiment: str) -> bool:
        """Tell whether it is for an experiment."""
        return self.experiments is None or experiment in self.experiments


def mint(
    client: str,
    scopes: Iterable[str],
    *,
    at: datetime,
    secret: bytes,
    experiments: Iterable[str] | None = None,
    requests_per_second: float | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Make a token.

    Args:
        client: who will have it.
        scopes: what it may ask for, of `SCOPES`.
        at: now.
        secret: 32 random bytes, of `secrets.token_bytes`.
        experiments: keys it is for; None for every experiment.
        requests_per_second: that the client may send; None for any number.
        expires_at: from when on it is refused; None for never.

    Returns:
        The token, and its text `abp_<8 hex>_<43 url-safe>`: the only place where the secret is.

    Raises:
        AccessError: for a secret of another length, and as in `Token`.
    """
    if len(secret) != SECRET_BYTES:
        raise AccessError(f"the secret has {len(secret)} bytes; it must be {SECRET_BYTES} random ones")
    # Of 256 random bits, another hash tells nothing that would help to guess them.
    token_id = hashlib.sha256(b"abp token id\0" + secret).hexdigest()[:8]
    text = f"abp_{token_id}_{urlsafe_b64encode(secret).decode().rstrip('=')}"
    made = Token(
        token_id,
        client,
        hashed(text),
        _check_scopes(frozenset(scopes)),
        None if experiments is None else frozenset(experiments),
        requests_per_second,
        at,
        expires_at,
        None,
    )
    return made, text


def renewed(old: Token, *, at: datetime, secret: bytes) -> tuple[Token, str]:
    """Make a token that may do what another may, and lives as long from now on as that was to live.

    Args:
        old: what it takes over from.
        at: now.
        secret: 32 random bytes.

    Raises:
        AccessError: where the old one is refused already; or as in `mint`.
    """
    if not old.valid(at):
        raise AccessError(f"token {old.token_id} is revoked or expired; make another with `abp token create`")
    return mint(
        old.client,
        old.scopes,
        at=at,
        secret=secret,
        experiments=old.experiments,
        requests_per_second=old.requests_per_second,
        expires_at=None if old.expires_at is None else at + (old.expires_at - old.created_at),
    )


def ending(token: Token, *, at: datetime, grace: timedelta) -> Token:
    """Return a token that is refused after a time of grace, or before that where it expires before.

    Raises:
        AccessError: for a grace below 0.
    """
    if grace < timedelta(0):
        raise AccessError(f"the grace is {grace.total_seconds():g} s; it must be 0 or more")
    # No time of grace at all, at the moment of the making, would be an end that is not after the beginning.
    end = max(at + grace, token.created_at + timedelta(microseconds=1))
    return replace(token, expires_at=end if token.expires_at is None else min(end, token.expires_at))


def hashed(text: str) -> str:
    """Return the sha256 of a token's text, in hex.

    A slow hash protects secrets that people choose and others guess. This one is 256 random bits: no guessing gets
    anywhere, and the service hashes on every request.
    """
    return hashlib.sha256(text.encode()).hexdigest()


class RateLimit:
    """A rate that a client is held to, with some requests at once; a token bucket that is pure of time.

    Args:
        per_second: requests, in the long run.
        burst: requests at once, at most.

    Raises:
        AccessError: for a rate of 0 or less, or a burst below 1, which would let nothing through.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        if not (math.isfinite(per_second) and per_second > 0.0):
            raise AccessError(f"requests per second are {per_second}; they must be above 0")
        if not burst >= 1.0:
            raise AccessError(f"the burst is {burst} requests; it must be 1 or more, or nothing would get through")
        self.per_second = per_second
        self.burst = burst
        self._full_at = -math.inf

    def take(self, now: float) -> float:
        """Count a request that comes now, unless it comes too early.

        Args:
            now: seconds, by a clock that does not go back; where it does, the request counts as coming then.

        Returns:
            0.0 where it may go on, else the seconds to wait; then it does not count.
        """
        # The bucket is known by the moment when it is full again, which each request puts off by its own share.
        full_at = max(self._full_at, now)
        wait = full_at - (self.burst - 1.0) / self.per_second - now
        if wait > _ROUNDING_SECONDS:
            return wait
        self._full_at = full_at + 1.0 / self.per_second
        return 0.0


def _check_scopes(scopes: frozenset[str]) -> frozenset[Scope]:
    if not scopes:
        raise AccessError(f"the token has no scope; give it one or more of {', '.join(SCOPES)}")
    for each in sorted(scopes):
        if each not in SCOPES:
            raise AccessError(f"scope '{each}' is unknown; {nearest(each, SCOPES)}")
    return cast("frozenset[Scope]", scopes)
