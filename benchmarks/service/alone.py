"""The service without micro-batching: what single slates cost, to compare with."""

from __future__ import annotations

from starlette.types import ASGIApp

from ab_platform.api.app import Web, create
from ab_platform.pseudonym import Pseudonyms
from ab_platform.service.slates import Slates
from ab_platform.service.worker import Options, Worker
from ab_platform.settings import from_environment
from ab_platform.storage.store import open_store
from ab_platform.training import Workshop


def application() -> ASGIApp:
    """Build the application of one process."""
    chosen = from_environment()
    workshop = Workshop(chosen.artifacts, chosen.checkpoints, device="cpu")
    store = open_store(chosen.database_url, migrate=False)
    worker = Worker(Options(chosen.service), store, workshop, Pseudonyms(None))
    worker.slates = Slates(most_together=1)
    return create(worker, Web())
