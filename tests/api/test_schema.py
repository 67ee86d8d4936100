"""Whatever fits the OpenAPI schema, and what almost fits it, is answered without a server error."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.api.conftest import RUNNING, Home
from tests.api.running import served

pytestmark = pytest.mark.xdist_group("schema")  # so that the fixtures of the module are made once

PATHS = {"/v1/assignments", "/v1/recommendations", "/v1/events", "/v1/experiments", "/v1/erasures"}


@pytest.fixture(scope="module")
def url(made_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one service for many requests: nothing that is asked here may harm it."""
    folder = tmp_path_factory.mktemp("fuzzed")
    shutil.copytree(made_home.folder, folder / "home")
    home = Home(folder / "home")
    with served(home.folder, home.url, workers=1, log=folder / "log") as running:
        yield running.url


@pytest.fixture(scope="module")
def schema(url: str) -> schemathesis.schemas.BaseSchema:
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"Content-Type": "application/json"}, timeout=20.0) as made:
        yield made


CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.mark.parametrize("path", sorted(PATHS | {"/healthz", "/readyz", "/metrics"}))
def test_every_route_keeps_to_the_schema(schema: schemathesis.schemas.BaseSchema, path: str) -> None:
    for operation in schema[path].values():

        @given(case=operation.as_strategy())
        @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
        def ask(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(checks=CHECKS)

        ask()


def test_the_schema_names_every_route_with_its_security(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) >= PATHS
    for path in PATHS:
        [operation] = document["paths"][path].values()
        assert operation["security"], path
        assert {"200", "401", "403", "422", "503"} <= set(operation["responses"])


LETTERS = string.printable + "é\u0000\U0001f600"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(string.printable + "é\u0000\U0001f600", max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
GOOD = {
    "type": "watch",
    "experiment": RUNNING.key,
    "user_id": "u001",
    "surface": "home_card",
    "title_id": "t01",
    "at": datetime.now(UTC).isoformat(),
    "impression_id": "019ca945-0a00-79a0-aaf0-b04d754c3de7",
    "watch_seconds": 12.5,
}


@given(st.lists(JSON, min_size=1, max_size=5), st.sampled_from([*GOOD, "event_id", "arm", "position", "extra"]), JSON)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_event_of_any_shape_is_taken_or_refused_by_itself(
    client: httpx.Client, strange: list[object], field: str, value: object
) -> None:
    items = [*strange, {**GOOD, field: value}, GOOD]
    reply = client.post("/v1/events", content=json.dumps({"events": items}))
    assert reply.status_code in {200, 400, 422}, reply.text
    if reply.status_code == 200:
        told = reply.json()["items"]
        assert len(told) == len(items)
        assert told[-1]["status"] in {"stored", "duplicate"}


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_body_that_is_not_json_is_refused(client: httpx.Client, body: bytes) -> None:
    for path in sorted(PATHS - {"/v1/experiments"}):
        assert client.post(path, content=body).status_code in {400, 422}


def test_a_deep_body_is_refused(client: httpx.Client) -> None:
    for depth in (200, 100_000):
        for opening, closing in (("[", "]"), ('{"events":', "}")):
            body = opening * depth + "1" + closing * depth
            assert client.post("/v1/events", content=body).status_code in {400, 422}


def test_an_oversize_body_is_refused_whether_it_tells_its_size_or_not(client: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(5):
            yield b" " * 2**20

    assert client.post("/v1/events", content=b" " * (5 * 2**20)).status_code == 413
    assert client.post("/v1/events", content=parts()).status_code == 413


def test_after_all_that_an_event_is_still_stored(client: httpx.Client) -> None:
    reply = client.post("/v1/events", json={"events": [GOOD]})
    assert reply.json()["rejected"] == 0
