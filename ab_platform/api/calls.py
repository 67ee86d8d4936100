"""From a request to its answer: who calls, may they, is the body sound; and from an error to its problem."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil
from time import perf_counter
from typing import Any, cast

from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ab_platform.access import RateLimit, Scope, Token, hashed
from ab_platform.api.metrics import Meters
from ab_platform.api.wire import Problem, Shape
from ab_platform.errors import EventError, NotFoundError, PlatformError, SpoolFullError, StoreAwayError
from ab_platform.service.worker import Worker

logger = logging.getLogger(__name__)

MOST_BYTES = 4 * 2**20
BURST_SECONDS = 2.0
"""How long a client may save up requests that it did not make."""

JSON = "application/json"
PROBLEM = "application/problem+json"
_JSON_TYPE = (b"content-type", JSON.encode())


class ProblemError(Exception):
    """A request that is not answered, as HTTP says it.

    Attributes:
        status: of the reply.
        code: for machines.
        retry_after: seconds until it may be sent again; None where that does not help.
    """

    def __init__(self, status: int, code: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Door:
    """Lets clients in.

    Args:
        worker: knows their tokens.
        open_to_all: needs no token; for a laptop.
        workers: processes that share a client's rate.
        clock: seconds that only grow.
    """

    def __init__(self, worker: Worker, *, open_to_all: bool, workers: int, clock: Callable[[], float]) -> None:
        self._worker = worker
        self._open_to_all = open_to_all
        self._workers = workers
        self._clock = clock
        self._limits: dict[str, RateLimit] = {}

    def admit(self, authorization: bytes | None, scope: Scope, *, at: datetime) -> Token | None:
        """Return the client's token; None where none is needed.

        Raises:
            ProblemError: 401 without a valid token, 403 for another scope, 429 above the client's rate.
        """
        if self._open_to_all:
            return None
        text = authorization.decode("latin-1").removeprefix("Bearer ") if authorization else ""
        token = self._worker.roster.tokens.get(hashed(text)) if text else None
        if token is None or not token.valid(at):
            raise ProblemError(
                401, "unauthorized", "the token is missing, unknown, expired or revoked; send a valid one"
            )
        if scope not in token.scopes:
            raise ProblemError(403, "forbidden", f"the token has not the scope '{scope}'; ask for one that has")
        self._throttle(token)
        return token

    def _throttle(self, token: Token) -> None:
        if token.requests_per_second is None:
            return
        rate = token.requests_per_second / self._workers
        limit = self._limits.get(token.token_id)
        if limit is None or limit.per_second != rate:
            limit = self._limits[token.token_id] = RateLimit(rate, burst=max(1.0, rate * BURST_SECONDS))
        wait = limit.take(self._clock())
        if wait > 0.0:
            raise ProblemError(429, "too_many_requests", "above the client's rate; slow down", retry_after=wait)


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was let in.

    Attributes:
        worker: answers it.
        token: of the client; None where none is needed.
        at: when it came.
        started: the same, by a clock that only grows, in seconds.
    """

    worker: Worker
    token: Token | None
    at: datetime
    started: float


def call_of(request: Request) -> Call:
    """Return the call that a request is."""
    call: Call = request.scope["abp.call"]
    return call


class JsonRoute(APIRoute):
    """A route that FastAPI documents and this class answers: it costs half of what FastAPI's own way does.

    The first scope of its `Security` is required; a body is read once, bounded, and checked by pydantic.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        scope: Scope = self.dependencies[0].scopes[0]  # type: ignore[attr-defined]
        asked = None if self.body_field is None else cast("type[Shape]", self.body_field.field_info.annotation)
        endpoint, path = self.endpoint, self.path
        written = TypeAdapter(self.response_model).dump_json  # twice as fast as where the type is not known

        async def answer(request: Request) -> Response:
            started = perf_counter()
            state = request.app.state
            meters: Meters = state.meters
            try:
                at = datetime.now(UTC)
                headers = headers_of(request)
                token = state.door.admit(headers.get(b"authorization"), scope, at=at)
                request.scope["abp.call"] = Call(state.worker, token, at, started)
                reply = await _called(request, headers, endpoint, asked)
                response: Response = _Json(written(reply))
            except Exception as error:
                response = problem(request, _refusal(error, request))
            meters.answered(path, response.status_code, perf_counter() - started)
            return response

        return answer


class _Json(Response):
    """A sound reply; it costs half of one whose status, headers and text could be anything."""

    def __init__(self, body: bytes) -> None:
        self.status_code = HTTPStatus.OK
        self.background = None
        self.body = body
        self.raw_headers = [_JSON_TYPE, (b"content-length", b"%d" % len(body))]


def headers_of(request: Request) -> dict[bytes, bytes]:
    """Return the headers by their names, the first of each; starlette would go through all of them for each asked."""
    return dict(reversed(request.scope["headers"]))


async def _called(
    request: Request,
    headers: Mapping[bytes, bytes],
    endpoint: Callable[..., Awaitable[object]],
    asked: type[Shape] | None,
) -> object:
    if asked is None:
        return await endpoint(request=request, **request.path_params)
    if not headers.get(b"content-type", JSON.encode()).startswith(JSON.encode()):
        raise ProblemError(415, "unsupported_media_type", f"the body must be {JSON}; set content-type")
    read = asked.read(await _body(request, headers.get(b"content-length", b"0")))
    try:
        return await endpoint(read, request)
    except (NotFoundError, EventError):
        call = call_of(request)
        if not await call.worker.look_again(call.at):
            raise
        return await endpoint(read, request)


async def _body(request: Request, told: bytes) -> bytes:
    """Read a body, never more than allowed, of a length that was told."""
    if not told.isdigit() or int(told) > MOST_BYTES:
        raise _oversize()
    parts, size, more = list[bytes](), 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > MOST_BYTES:
            raise _oversize()
        parts.append(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _oversize() -> ProblemError:
    return ProblemError(413, "too_large", f"the body is over {MOST_BYTES // 2**20} MiB; send it in smaller batches")


def problem(request: Request, refused: ProblemError) -> Response:
    """Return the reply that tells a problem."""
    request_id = request.scope.get("abp.request_id", "")
    told = Problem(HTTPStatus(refused.status).phrase, refused.status, refused.code, str(refused), request_id)
    headers = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(max(1, ceil(refused.retry_after)))
    if refused.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(to_json(told), refused.status, headers, PROBLEM)


def _refusal(error: Exception, request: Request) -> ProblemError:
    """Return an error as HTTP says it; one that nobody foresaw is logged and told as such."""
    match error:
        case ProblemError():
            return error
        case ValidationError():
            return _malformed(error)
        case NotFoundError():
            return ProblemError(404, "unknown_experiment", str(error))
        case EventError():
            return ProblemError(422, "invalid", str(error))
        case SpoolFullError():
            return ProblemError(503, "no_room", str(error), retry_after=error.retry_after_seconds)
        case StoreAwayError():
            return ProblemError(503, "away", "the database does not answer; send it again", retry_after=1.0)
        case ClientDisconnect():
            return ProblemError(400, "disconnected", "the client went before its request was whole")
        case PlatformError():
            logger.error("%s: %s", request.url.path, error)
            return ProblemError(503, "unable", "the service cannot answer this now; its log says why", retry_after=1.0)
        case _:
            logger.error("%s failed", request.url.path, exc_info=error)
            return ProblemError(500, "failed", "the service failed; its log says why, by the request id")


def _malformed(error: ValidationError) -> ProblemError:
    """Say the first thing that is wrong with a body."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return ProblemError(400, "not_json", f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}")
    place = ".".join(str(each) for each in first["loc"])
    return ProblemError(422, "invalid", f"{place or 'the body'}: {first['msg']}")
