"""What surrounds every request: its id, headers that keep browsers safe, a line in the log."""

from __future__ import annotations

import logging
import re
from random import getrandbits
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ab_platform.api.logs import REQUEST_ID

access = logging.getLogger("ab_platform.access_log")

_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")

SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of every reply: it is data for a program, and nothing a browser should show, keep or run."""

DOCS = "/docs"


class Outside:
    """Wraps an application.

    Args:
        app: what answers.
        log_requests: whether each request is a line of the log, and not only those that failed.
    """

    def __init__(self, app: ASGIApp, *, log_requests: bool) -> None:
        self._app = app
        self._log_requests = log_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["abp.request_id"] = told = request_id.decode()
        named = REQUEST_ID.set(told)
        started = perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                safe = () if scope["path"] == DOCS else SAFE  # its page loads a script
                message["headers"] = [*message["headers"], (b"x-request-id", request_id), *safe]
                if self._log_requests or message["status"] >= 500:
                    _log(scope, message["status"], perf_counter() - started)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            REQUEST_ID.reset(named)


def _log(scope: Scope, status: int, seconds: float) -> None:
    access.info("%s %s %d %.1f ms", scope["method"], scope["path"], status, seconds * 1000.0)


def _request_id(scope: Scope) -> bytes:
    """Return the client's id of the request where it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            told: bytes = value
            return told
    return b"%032x" % getrandbits(128)
