"""Whether the service is alive and ready, and its meters."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json
from starlette.responses import Response

from ab_platform.api import wire
from ab_platform.api.calls import JSON, ProblemError, headers_of, problem
from ab_platform.errors import StoreAwayError

router = APIRouter()


@router.get("/healthz", responses={200: {"description": "the process answers"}}, response_model=None)
async def healthz() -> Response:
    """Say that the process is alive."""
    return Response(b'{"alive":true}', media_type=JSON)


@router.get("/readyz", response_model=wire.Health, responses={503: {"model": wire.Health}})
async def readyz(request: Request) -> Response:
    """Say whether requests can be answered; the database may be away all the same."""
    worker = request.app.state.worker
    spooled = worker.spooled()
    try:
        experiments, known = len(worker.roster.running), True
    except StoreAwayError:
        experiments, known = 0, False
    ready = known and not (worker.away and spooled.full)
    health = wire.Health(ready, "away" if worker.away else "there", experiments, worker.arms.missing, spooled.events)
    return Response(to_json(health), 200 if ready else 503, media_type=JSON)


@router.get("/metrics", response_model=None, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Tell the meters in Prometheus' text format; it needs a token with the scope `read`."""
    state = request.app.state
    try:
        state.door.admit(headers_of(request).get(b"authorization"), "read", at=datetime.now(UTC))
    except ProblemError as refused:
        return problem(request, refused)
    return Response(await state.meters.exposition(), media_type=CONTENT_TYPE_LATEST)
