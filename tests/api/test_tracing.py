"""Traces: a span for each request with one for each step, in the caller's trace, and nothing in it that is secret."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode
from starlette.testclient import TestClient

from ab_platform.api.app import Web, create
from ab_platform.api.outside import Outside
from ab_platform.api.tracing import TracedApp, TracedWorker, tracer_of
from ab_platform.pseudonym import Pseudonyms
from ab_platform.service.worker import Options, Worker
from ab_platform.settings import from_environment
from tests.api.conftest import RUNNING, Home, Service
from tests.api.running import batch, served

USER = "someone-whom-nobody-may-know"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Traced:
    """A service whose spans are kept in memory."""

    service: Service
    kept: InMemorySpanExporter

    @property
    def client(self) -> TestClient:
        return self.service.client

    def spans(self) -> dict[str, ReadableSpan]:
        """Return the spans by name."""
        return {each.name: each for each in self.kept.get_finished_spans()}


@pytest.fixture
def traced(home: Home) -> Iterator[Traced]:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    options = Options(home.folder / "service", deadline_ms=10_000.0)
    worker = TracedWorker(options, home.store(), home.workshop, Pseudonyms(None), tracer=tracer_of(provider))
    store = home.store()
    app = create(worker, Web(), traces=provider)
    with TestClient(app, raise_server_exceptions=False) as client:
        made = Service(home, client, worker, store)
        client.headers["Authorization"] = f"Bearer {made.token('assign', 'recommend', 'events', 'read')}"
        yield Traced(made, kept)
    store.close()


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def ask(traced: Traced, **headers: str) -> None:
    body = {"user_id": USER, "surface": "home_card"}
    assert traced.client.post("/v1/recommendations", json=body, headers=headers).status_code == 200


def test_a_request_is_a_span_with_its_route_method_and_status(traced: Traced) -> None:
    ask(traced, **{"X-Request-Id": "the-request"})
    span = traced.spans()["POST /v1/recommendations"]
    assert span.kind == SpanKind.SERVER
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/recommendations",
        "http.response.status_code": 200,
        "abp.request_id": "the-request",
    }
    assert span.parent is None
    assert span.status.status_code == StatusCode.UNSET


def test_the_steps_of_a_slate_are_spans_below_its_request(traced: Traced) -> None:
    ask(traced)
    spans = traced.spans()
    request = spans["POST /v1/recommendations"]
    for name in ("read history", "make slate"):
        parent = spans[name].parent
        assert parent is not None
        assert parent.span_id == context_of(request).span_id
    assert dict(spans["read history"].attributes or {}) == {"abp.experiment": RUNNING.key, "abp.late": False}
    made = dict(spans["make slate"].attributes or {})
    assert made.pop("abp.arm") in {"multi_vae", "pia"}
    assert made == {"abp.experiment": RUNNING.key, "abp.made": "arm"}
    traced.kept.clear()
    ask(traced)
    assert "read history" not in traced.spans()  # it is in memory now


def test_keeping_events_is_a_span_below_its_request(traced: Traced) -> None:
    for _ in range(2):
        traced.kept.clear()
        assert traced.client.post("/v1/events", json={"events": batch(0, size=3)}).status_code == 200
    spans = traced.spans()
    parent = spans["keep events"].parent
    assert parent is not None
    assert parent.span_id == context_of(spans["POST /v1/events"]).span_id
    assert dict(spans["keep events"].attributes or {}) == {"abp.events": 3, "abp.duplicate": 3}


def test_a_request_is_part_of_its_caller_s_trace(traced: Traced) -> None:
    ask(traced, traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=value")
    spans = traced.spans()
    context = context_of(spans["POST /v1/recommendations"])
    parent = spans["POST /v1/recommendations"].parent
    assert parent is not None
    assert (f"{context.trace_id:032x}", f"{parent.span_id:016x}") == (TRACE, PARENT)
    assert context.trace_state.get("vendor") == "value"
    assert f"{context_of(spans['make slate']).trace_id:032x}" == TRACE


@pytest.mark.parametrize("wrong", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{PARENT}", "é" * 55])
def test_a_caller_s_trace_that_cannot_be_read_is_left_alone(traced: Traced, wrong: str) -> None:
    headers = {b"traceparent": wrong.encode("latin-1")}
    body = {"user_id": USER, "surface": "home_card"}
    assert traced.client.post("/v1/recommendations", json=body, headers=headers).status_code == 200
    assert traced.spans()["POST /v1/recommendations"].parent is None


def test_a_caller_who_does_not_sample_is_not_traced(traced: Traced) -> None:
    ask(traced, traceparent=f"00-{TRACE}-{PARENT}-00")
    assert traced.spans() == {}


def test_refusals_are_spans_and_only_faults_of_the_service_are_errors(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced.client.get("/nothing/42")
    traced.client.request("BREW", "/v1/events")
    traced.client.post("/v1/recommendations", json={})
    spans = traced.kept.get_finished_spans()
    assert [(each.name, (each.attributes or {})["http.response.status_code"]) for each in spans] == [
        ("GET", 404),
        ("HTTP /v1/events", 405),
        ("POST /v1/recommendations", 422),
    ]
    assert {each.status.status_code for each in spans} == {StatusCode.UNSET}
    traced.kept.clear()

    def fail(events: object) -> None:
        raise RuntimeError(f"{USER} broke it")

    monkeypatch.setattr(traced.service.worker.recorder, "record", fail)
    assert traced.client.post("/v1/events", json={"events": batch(0)}).status_code == 500
    span = traced.spans()["POST /v1/events"]
    assert span.status.status_code == StatusCode.ERROR
    assert span.events == ()


def test_a_transaction_that_fails_is_an_error(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(events: object) -> None:
        raise RuntimeError(f"{USER} broke it")

    monkeypatch.setattr(traced.service.worker.recorder, "_commit", fail)
    assert traced.client.post("/v1/events", json={"events": batch(0)}).status_code == 500
    assert traced.spans()["keep events"].status.status_code == StatusCode.ERROR


def test_no_span_has_a_user_a_token_a_title_or_a_body(traced: Traced) -> None:
    ask(traced)
    traced.client.post("/v1/assignments", json={"user_ids": [USER]})
    now = datetime.now(UTC).isoformat()
    event = {"type": "exposure", "experiment": RUNNING.key, "user_id": USER, "surface": "home_card", "at": now}
    traced.client.post("/v1/events", json={"events": [event]})
    traced.client.get(f"/v1/users/{USER}?user_id={USER}")
    told = "".join(each.to_json() for each in traced.kept.get_finished_spans())
    assert len(traced.kept.get_finished_spans()) >= 6
    assert USER not in told
    assert traced.client.headers["Authorization"].split("_")[2] not in told
    assert "home_card" not in told


def test_probes_and_scrapes_are_no_spans(traced: Traced) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert traced.client.get(path).status_code == 200
    assert traced.spans() == {}


def test_without_a_collector_nothing_traces(home: Home) -> None:
    assert from_environment({}).otlp_endpoint is None
    assert from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}).otlp_endpoint == "http://c:4318"
    worker = Worker(Options(home.folder / "service"), home.store(), home.workshop, Pseudonyms(None))
    app = create(worker, Web())
    assert isinstance(app, Outside)
    assert not isinstance(app._app, TracedApp)


class Collector(http.server.ThreadingHTTPServer):
    """Takes spans as a collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.names: list[str] = []
        self.services: set[str] = set()


class _Taking(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        collector = self.server
        assert isinstance(collector, Collector)
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            told = {each.key: each.value.string_value for each in part.resource.attributes}
            collector.services.add(told["service.name"])
            collector.names += [span.name for scope in part.scope_spans for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def test_a_real_service_sends_its_spans_to_the_collector(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collector() as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}/")
        with served(home.folder, home.url, workers=2, log=tmp_path / "log") as running:
            for number in range(10):
                httpx.post(f"{running.url}/v1/events", json={"events": batch(number, size=2)}).raise_for_status()
        assert running.process.returncode == 0
        collector.shutdown()
    assert sorted(set(collector.names)) == ["POST /v1/events", "keep events"]
    assert len(collector.names) == 20
    assert collector.services == {"ab-platform"}


def test_a_collector_that_is_away_keeps_nobody_waiting(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with served(home.folder, home.url, workers=1, log=tmp_path / "log") as running:
        httpx.post(f"{running.url}/v1/events", json={"events": batch(0)}).raise_for_status()
    assert running.process.returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()[1:]]
    assert any("export" in line["message"] for line in lines)
