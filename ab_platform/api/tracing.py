"""Traces for OpenTelemetry: a span for each request, with one for each step; no user, token or body is in any."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ab_platform import __version__
from ab_platform.pseudonym import Pseudonyms
from ab_platform.service.codec import Item
from ab_platform.service.recording import Kept
from ab_platform.service.roster import Standing
from ab_platform.service.slates import Made, Slates
from ab_platform.service.worker import Options, Worker
from ab_platform.serving import Request, Server
from ab_platform.storage.store import Store
from ab_platform.training import Workshop

EXPORT_SECONDS = 2.0
"""How long the collector may take for a batch, also at the end, when the service waits for it."""

UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that machines ask for all the time."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})

_PARENT = TraceContextTextMapPropagator()


def exporting(endpoint: str) -> TracerProvider:
    """Make what hands spans to a collector, by a thread of its own.

    Args:
        endpoint: of the collector, such as `http://localhost:4318`; the rest is in the variables of OpenTelemetry.
    """
    own = Resource.create({"service.name": "ab-platform", "service.version": __version__})
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    address = f"{endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(address, timeout=EXPORT_SECONDS)))
    return provider


def tracer_of(provider: TracerProvider) -> Tracer:
    """Return the tracer of the service."""
    return provider.get_tracer("ab_platform", __version__)


class TracedApp:
    """Wraps an application, so that each request is a span, of the caller's trace where the caller has one.

    Args:
        app: what answers.
        tracer: makes the spans.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        status = 500  # where no reply begins

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._span(scope) as span:
            try:
                await self._app(scope, receive, sending)
            finally:
                _tell(span, scope, status)

    def _span(self, scope: Scope) -> AbstractContextManager[Span]:
        told = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name in _TRACE}
        return self._tracer.start_as_current_span(
            _verb(scope),
            context=_PARENT.extract(told),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": _method(scope), "abp.request_id": scope.get("abp.request_id", "")},
            # Its words may name a user.
            record_exception=False,
            set_status_on_exception=False,
        )


_TRACE = frozenset({b"traceparent", b"tracestate"})


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in METHODS else "_OTHER"


def _verb(scope: Scope) -> str:
    """Return the method as names of spans have it."""
    method = _method(scope)
    return "HTTP" if method == "_OTHER" else method


def _tell(span: Span, scope: Scope, status: int) -> None:
    """Say what is only known at the end: the route, and what came of the request."""
    span.set_attribute("http.response.status_code", status)
    if (route := scope.get("route")) is not None:
        span.update_name(f"{_verb(scope)} {route.path}")
        span.set_attribute("http.route", route.path)
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)


class TracedWorker(Worker):
    """A worker whose steps are spans.

    Args:
        options: as of any worker.
        store: as of any worker.
        workshop: as of any worker.
        pseudonyms: as of any worker.
        tracer: makes the spans.
    """

    def __init__(
        self, options: Options, store: Store, workshop: Workshop, pseudonyms: Pseudonyms, *, tracer: Tracer
    ) -> None:
        super().__init__(options, store, workshop, pseudonyms)
        self._tracer = tracer
        self.slates = _TracedSlates(tracer, deadline_ms=options.deadline_ms)

    async def _read(self, standing: Standing, user_id: str, until: datetime | None) -> tuple[tuple[str, ...], bool]:
        with _step(self._tracer, "read history", {"abp.experiment": standing.key}) as span:
            history, late = await super()._read(standing, user_id, until)
            span.set_attribute("abp.late", late)
            return history, late

    def record(self, events: Sequence[Item]) -> asyncio.Future[Sequence[Kept]]:
        """Keep events; the answer comes when they are safe."""
        span = self._tracer.start_span("keep events", attributes={"abp.events": len(events)})
        answer = super().record(events)
        answer.add_done_callback(_ending(span))
        return answer


class _TracedSlates(Slates):
    def __init__(self, tracer: Tracer, *, deadline_ms: float) -> None:
        super().__init__(deadline_ms=deadline_ms)
        self._tracer = tracer

    async def recommend(
        self,
        server: Server,
        request: Request,
        arm: str | None,
        history: Sequence[str],
        *,
        spent_seconds: float = 0.0,
    ) -> Made:
        key = server.launch.experiment.key
        with _step(self._tracer, "make slate", {"abp.experiment": key, "abp.arm": arm or "none"}) as span:
            made = await super().recommend(server, request, arm, history, spent_seconds=spent_seconds)
            span.set_attribute("abp.made", made.reason)
            return made


def _step(tracer: Tracer, name: str, told: Mapping[str, str]) -> AbstractContextManager[Span]:
    return tracer.start_as_current_span(name, attributes=told, record_exception=False, set_status_on_exception=False)


def _ending(span: Span) -> Callable[[asyncio.Future[Sequence[Kept]]], None]:
    """Return what ends a span with what became of events: stored, so committed, or spooled."""

    def end(answer: asyncio.Future[Sequence[Kept]]) -> None:
        if answer.cancelled() or answer.exception() is not None:
            span.set_status(StatusCode.ERROR)
        else:
            for status, count in Counter(answer.result()).items():
                span.set_attribute(f"abp.{status}", count)
        span.end()

    return end
