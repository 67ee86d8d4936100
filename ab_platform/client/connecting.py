"""What both kinds of client know of the connection: address, headers, timeouts, and what counts as no answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from ab_platform import __version__
from ab_platform.client.calls import Call, Reply, retry_after
from ab_platform.errors import ServiceAwayError, ServiceError

KEPT_OPEN_SECONDS = 4.0
"""How long an idle connection is kept: shorter than servers keep theirs, so that none is used that was just closed."""

MOST_TRIES = 2
"""Of a question whose connection broke: a server that restarts closes connections that looked open."""


@dataclass(frozen=True)
class Connection:
    """Where the service is, and how it is asked.

    Attributes:
        url: of the service's root.
        headers: of every request.
        timeout_seconds: for the connection, and between two bytes of a reply.
        trust_env: whether a proxy of the environment is used; none is for this machine itself.
    """

    url: str
    headers: Mapping[str, str]
    timeout_seconds: float
    trust_env: bool

    @property
    def limits(self) -> httpx.Limits:
        """Return how many connections are open, and how long."""
        return httpx.Limits(keepalive_expiry=KEPT_OPEN_SECONDS)


def connection(url: str, token: str, *, timeout_seconds: float) -> Connection:
    """Describe the connection to a service.

    Raises:
        ServiceError: for an address or a token that cannot be one.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ServiceError(f"service address is {url!r}; it must be like https://ab.example.org")
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise ServiceError("the token is empty or not plain ASCII; give the text that `abp token create` prints")
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "User-Agent": f"ab-platform/{__version__}",
    }
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    return Connection(url.rstrip("/"), headers, timeout_seconds, trust_env=not local)


def reply_of(response: httpx.Response) -> Reply:
    """Return a response as a reply."""
    asked = retry_after(response.headers.get("Retry-After"), now=datetime.now(UTC))
    return Reply(response.status_code, response.content, asked)


def away(call: Call, url: str, error: Exception) -> ServiceAwayError:
    """Return the error for a service that did not answer."""
    said = str(error) or type(error).__name__
    return ServiceAwayError(f"{call.method} {call.path}: the service at {url} does not answer: {said}")


def may_repeat(error: httpx.HTTPError) -> bool:
    """Tell whether a repetition at once may help: the connection broke, rather than time ran out."""
    return isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)
