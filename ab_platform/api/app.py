"""The application: routes around a worker that starts and stops with it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from fastapi import FastAPI, Request
from opentelemetry.sdk.trace import TracerProvider
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from ab_platform import __version__
from ab_platform.api import health, routes
from ab_platform.api.calls import Door, ProblemError, problem
from ab_platform.api.described import describe
from ab_platform.api.direct import Direct
from ab_platform.api.metrics import Meters
from ab_platform.api.outside import Outside
from ab_platform.api.tracing import TracedApp, tracer_of
from ab_platform.service.worker import Worker

logger = logging.getLogger(__name__)

NEW_OBJECTS = 20_000
"""After so many more objects than before, garbage is looked for among them."""

PARENT_SECONDS = 0.5
"""How soon a worker ends whose supervisor was killed: it would hold the port."""


@dataclass(frozen=True)
class Web:
    """How the service is offered.

    Attributes:
        open_to_all: needs no token.
        workers: processes that serve.
        meters: folder where the workers put their meters together; None for a single one.
        origins: web origins whose pages may call; none by default.
        log_requests: whether each request is a line of the log.
        supervised: whether a supervisor started this process.
        own_process: whether this process does nothing else.
    """

    open_to_all: bool = False
    workers: int = 1
    meters: Path | None = None
    origins: tuple[str, ...] = ()
    log_requests: bool = False
    supervised: bool = False
    own_process: bool = False


def create(worker: Worker, web: Web, *, traces: TracerProvider | None = None) -> ASGIApp:
    """Build the application around a worker.

    Args:
        worker: answers.
        web: how it is offered.
        traces: takes a span for each request; None where nobody traces, which then costs nothing.
    """
    app = FastAPI(
        title="ab-platform",
        version=__version__,
        description="Assign users to arms, serve slates, take events. The wire format in words: docs/wire.md.",
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    app.state.worker = worker
    app.state.meters = Meters(web.meters)
    worker.recorder.committed = app.state.meters.committed
    app.state.door = Door(worker, open_to_all=web.open_to_all, workers=web.workers, clock=monotonic)
    app.state.parent = os.getppid() if web.supervised else None
    app.state.traces = traces
    app.state.own_process = web.own_process
    app.include_router(routes.router)
    app.include_router(health.router)
    app.add_exception_handler(HTTPException, _not_found)
    describe(app)
    if web.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(web.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "X-Request-Id"],
            expose_headers=["Retry-After", "X-Request-Id"],
        )
    inside: ASGIApp = app if web.origins else Direct(app)  # pages of other origins need what surrounds the routes
    traced = inside if traces is None else TracedApp(inside, tracer_of(traces))
    return Outside(traced, log_requests=web.log_requests)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    worker: Worker = app.state.worker
    await asyncio.to_thread(worker.start)
    await app.state.meters.tell(worker)
    if app.state.own_process:
        _look_for_garbage_less_often()
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(_keep_fresh(app, stopping)), asyncio.create_task(_watch_parent(app.state.parent))]
    try:
        yield
    finally:
        stopping.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await app.state.meters.tell(worker)
        finally:
            await asyncio.to_thread(worker.stop)
        if app.state.traces is not None:
            await asyncio.to_thread(app.state.traces.shutdown)


def _look_for_garbage_less_often() -> None:
    """Leave out what is loaded by now, which stays; what requests leave behind goes by counting references."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])


async def _keep_fresh(app: FastAPI, stopping: asyncio.Event) -> None:
    """Read the roster again and again, and empty the spool."""
    worker: Worker = app.state.worker
    while True:
        await asyncio.sleep(worker.options.refresh_seconds)
        try:
            await asyncio.to_thread(worker.refresh)
            await app.state.meters.tell(worker)
            if moved := await asyncio.to_thread(worker.catch_up, stopping=stopping):
                logger.info("%d events of the spool are stored", moved)
        except Exception:
            logger.exception("the roster was not read; it is tried again")


async def _watch_parent(parent: int | None) -> None:
    """End when the supervisor was killed, as if it had said so."""
    while parent is not None:
        await asyncio.sleep(PARENT_SECONDS)
        if os.getppid() != parent:
            with contextlib.suppress(ProcessLookupError):
                os.kill(os.getpid(), signal.SIGTERM)


async def _not_found(request: Request, error: Exception) -> Response:
    """Tell a wrong path or method as a problem."""
    assert isinstance(error, HTTPException)
    request.app.state.meters.lost(error.status_code)
    return problem(request, ProblemError(error.status_code, "no_such_route", str(error.detail)))
