"""One serving process: from the environment to an application."""

from __future__ import annotations

from pathlib import Path

from starlette.types import ASGIApp

from ab_platform.api import logs
from ab_platform.api.app import Web, create
from ab_platform.api.tracing import TracedWorker, exporting, tracer_of
from ab_platform.pseudonym import Pseudonyms
from ab_platform.service.worker import Options, Worker
from ab_platform.settings import from_environment, told_workers
from ab_platform.storage.store import unchecked_store
from ab_platform.training import Workshop

CONNECTIONS = 6
"""To PostgreSQL, of one worker: the recorder's, the readers', and some to spare."""


def application() -> ASGIApp:
    """Build the application of this process; the database may be away."""
    logs.take_over()
    chosen, told = from_environment(), told_workers()
    store = unchecked_store(chosen.database_url, timeout_seconds=told.database_seconds, connections=CONNECTIONS)
    options = Options(chosen.service, deadline_ms=told.deadline_ms)
    workshop = Workshop(chosen.artifacts, chosen.checkpoints, device="cpu")
    pseudonyms = Pseudonyms(chosen.user_id_key)
    web = Web(
        open_to_all=told.open_to_all,
        workers=told.workers,
        meters=None if told.meters is None else Path(told.meters),
        origins=told.origins,
        log_requests=told.log_requests,
        supervised=told.workers > 1,
        own_process=True,
    )
    if chosen.otlp_endpoint is None:
        return create(Worker(options, store, workshop, pseudonyms), web)
    traces = exporting(chosen.otlp_endpoint)
    worker = TracedWorker(options, store, workshop, pseudonyms, tracer=tracer_of(traces))
    return create(worker, web, traces=traces)
