"""What surrounds every request: safe headers, request ids, other origins, problems, the documentation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from ab_platform.api.app import Web
from tests.api.conftest import RUNNING, Home, Service, start

OURS = "https://tv.example"
SAFE = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
REQUESTS = [
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/metrics", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/v1/experiments", 200),
    ("GET", "/nothing", 404),
    ("DELETE", "/v1/events", 405),
    ("POST", "/v1/assignments", 400),
    ("POST", "/v1/events", 400),
]


@pytest.fixture
def offered(home: Home) -> Iterator[Service]:
    """A service whose answers pages of one origin may read."""
    yield from start(home, Web(open_to_all=True, origins=(OURS,)))


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_every_reply_has_safe_headers_and_an_id(service: Service, method: str, path: str, status: int) -> None:
    reply = service.client.request(method, path)
    assert reply.status_code == status
    assert SAFE.items() <= dict(reply.headers).items()
    assert len(reply.headers["x-request-id"]) == 32
    assert "server" not in reply.headers
    assert "set-cookie" not in reply.headers


def test_replies_that_refuse_have_safe_headers_too(guarded: Service) -> None:
    reply = guarded.client.post("/v1/assignments", json={"user_id": "u001"})
    assert reply.status_code == 401
    assert SAFE.items() <= dict(reply.headers).items()


def test_a_request_keeps_the_id_that_its_client_gave_it(service: Service) -> None:
    for given in ("abc", "0.A_b-9", "x" * 128):
        reply = service.client.get("/nothing", headers={"X-Request-Id": given})
        assert reply.headers["x-request-id"] == given
        assert reply.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a\tb", "a;b", "<b>"])
def test_an_id_that_could_do_harm_is_replaced(service: Service, given: str) -> None:
    reply = service.client.get("/nothing", headers={"X-Request-Id": given})
    assert len(reply.headers["x-request-id"]) == 32
    assert reply.json()["request_id"] == reply.headers["x-request-id"]


def test_two_requests_have_two_ids(service: Service) -> None:
    ids = {service.client.get("/healthz").headers["x-request-id"] for _ in range(20)}
    assert len(ids) == 20


def asks_first(client: TestClient, origin: str) -> dict[str, str]:
    """Ask as a browser does before it sends another origin's request."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-request-id",
    }
    reply = client.options("/v1/recommendations", headers=headers)
    return {**reply.headers, "status": str(reply.status_code)}


def test_pages_of_other_origins_may_not_call(service: Service) -> None:
    told = asks_first(service.client, OURS)
    assert told["status"] == "405"
    assert not any(name.startswith("access-control") for name in told)
    reply = service.client.get("/v1/experiments", headers={"Origin": OURS})
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_pages_of_a_named_origin_may_call_with_their_token(offered: Service) -> None:
    told = asks_first(offered.client, OURS)
    assert told["status"] == "200"
    assert told["access-control-allow-origin"] == OURS
    allowed = {each.strip().lower() for each in told["access-control-allow-headers"].split(",")}
    assert {"authorization", "content-type", "x-request-id"} <= allowed
    assert "access-control-allow-credentials" not in told
    asked = {"user_id": "u001", "surface": "home_card"}
    reply = offered.client.post("/v1/recommendations", json=asked, headers={"Origin": OURS})
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == OURS
    exposed = {each.strip().lower() for each in reply.headers["access-control-expose-headers"].split(",")}
    assert exposed == {"retry-after", "x-request-id"}
    assert SAFE.items() <= dict(reply.headers).items()


def test_the_problems_of_a_named_origin_may_be_read(offered: Service) -> None:
    reply = offered.client.post("/v1/recommendations", json={}, headers={"Origin": OURS})
    assert reply.status_code == 422
    assert reply.headers["access-control-allow-origin"] == OURS


@pytest.mark.parametrize("origin", ["https://tv.example.evil", "http://tv.example", "https://evil.example", "null"])
def test_pages_of_an_origin_that_is_not_named_may_not_call(offered: Service, origin: str) -> None:
    assert "access-control-allow-origin" not in asks_first(offered.client, origin)
    reply = offered.client.get("/v1/experiments", headers={"Origin": origin})
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/events/", 404),
        ("POST", "/v2/events", 404),
        ("GET", "/v1/events", 405),
        ("PUT", "/v1/recommendations", 405),
        ("POST", "/v1/experiments", 405),
        ("POST", "/healthz", 405),
    ],
)
def test_a_wrong_path_or_method_is_a_problem(service: Service, method: str, path: str, status: int) -> None:
    reply = service.client.request(method, path)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    told = reply.json()
    assert told["status"] == status
    assert told["code"] == "no_such_route"
    assert told["type"] == "about:blank"


def test_another_content_type_is_a_problem(service: Service) -> None:
    reply = service.client.post("/v1/events", content="type=click", headers={"Content-Type": "text/plain"})
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_media_type")


def test_the_documentation_loads_and_may_load_its_script(service: Service) -> None:
    reply = service.client.get("/docs")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/html")
    assert "/openapi.json" in reply.text
    assert "default-src 'none'" not in reply.headers.get("content-security-policy", "")
    assert len(reply.headers["x-request-id"]) == 32


def test_the_service_is_ready_and_says_what_it_serves(service: Service) -> None:
    assert service.client.get("/healthz").json() == {"alive": True}
    assert service.client.get("/readyz").json() == {
        "ready": True,
        "database": "there",
        "experiments": 1,
        "arms_missing": [],
        "spooled_events": 0,
    }
    [shown] = service.client.get("/v1/experiments").json()["experiments"]
    assert shown["experiment"] == RUNNING.key
    assert shown["state"] == "running"
    assert [(arm["arm"], arm["control"], arm["weight"]) for arm in shown["arms"]] == [
        ("multi_vae", True, 0.5),
        ("pia", False, 0.5),
    ]
