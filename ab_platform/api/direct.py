"""A short way to the routes that clients call all the time: past the framework, which costs as much as an answer."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ab_platform.api.calls import JsonRoute


class Direct:
    """Wraps an application, and answers its posted routes itself; they tell every error as a problem of their own.

    Args:
        app: has the routes, and answers everything else.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app: ASGIApp = app
        posted = [each for each in app.routes if isinstance(each, JsonRoute) and each.methods == {"POST"}]
        self._answers = {each.path: (each, each.get_route_handler()) for each in posted}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        posted = scope["type"] == "http" and scope["method"] == "POST"
        found = self._answers.get(scope["path"]) if posted else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        scope["route"], answer = found
        response = await answer(Request(scope, receive, send))
        await response(scope, receive, send)
