from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ab_platform.access import Scope
from tests.api.conftest import RUNNING, Service

ROUTES: list[tuple[str, str, Scope, dict[str, object] | None]] = [
    ("POST", "/v1/assignments", "assign", {"user_id": "u001"}),
    ("POST", "/v1/recommendations", "recommend", {"user_id": "u001", "surface": "home_card"}),
    ("POST", "/v1/events", "events", {"events": []}),
    ("GET", "/v1/experiments", "read", None),
    ("POST", "/v1/erasures", "admin", {"user_id": "u001"}),
    ("GET", "/metrics", "read", None),
]
SCOPES: tuple[Scope, ...] = ("assign", "recommend", "events", "read", "admin")


@pytest.mark.parametrize(("method", "path", "scope", "body"), ROUTES)
def test_without_a_token_nobody_gets_in(
    guarded: Service, method: str, path: str, scope: Scope, body: dict[str, object] | None
) -> None:
    for authorization in (None, "", "Bearer ", "Bearer abp_00000000_guess", "Basic dTpw", "Bearer " + "x" * 5_000):
        headers = {} if authorization is None else {"Authorization": authorization}
        reply = guarded.client.request(method, path, json=body, headers=headers)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.json()["code"] == "unauthorized"


@pytest.mark.parametrize(("method", "path", "scope", "body"), ROUTES)
def test_only_the_scope_of_a_route_opens_it(
    guarded: Service, method: str, path: str, scope: Scope, body: dict[str, object] | None
) -> None:
    others = guarded.token(*(each for each in SCOPES if each != scope))
    reply = guarded.client.request(method, path, json=body, headers={"Authorization": f"Bearer {others}"})
    assert reply.status_code == 403
    right = guarded.token(scope)
    reply = guarded.client.request(method, path, json=body, headers={"Authorization": f"Bearer {right}"})
    assert reply.status_code in {200, 422}


def test_a_revoked_token_is_refused_from_the_next_refresh_on(guarded: Service) -> None:
    text = guarded.token("assign")
    headers = {"Authorization": f"Bearer {text}"}
    assert guarded.client.post("/v1/assignments", json={"user_id": "u"}, headers=headers).status_code == 200
    guarded.store.revoke_token(text.split("_")[1], at=datetime.now(UTC))
    guarded.worker.refresh()
    assert guarded.client.post("/v1/assignments", json={"user_id": "u"}, headers=headers).status_code == 401


def test_above_its_rate_a_client_is_told_when_to_come_back(guarded: Service) -> None:
    headers = {"Authorization": f"Bearer {guarded.token('assign', rate=2.0)}"}
    replies = [guarded.client.post("/v1/assignments", json={"user_id": "u"}, headers=headers) for _ in range(20)]
    refused = [reply for reply in replies if reply.status_code == 429]
    assert replies[0].status_code == 200
    assert len(refused) >= 10
    assert int(refused[0].headers["retry-after"]) >= 1


def test_a_client_never_sees_nor_adds_to_another_s_experiment(guarded: Service) -> None:
    theirs = guarded.token(*SCOPES, experiments=frozenset({"their-own"}))
    headers = {"Authorization": f"Bearer {theirs}"}
    client = guarded.client
    assert client.post("/v1/assignments", json={"user_id": "u001"}, headers=headers).json() == {"assignments": []}
    asked = {"user_id": "u001", "experiments": [RUNNING.key]}
    assert client.post("/v1/assignments", json=asked, headers=headers).status_code == 404
    slate = {"user_id": "u001", "surface": "home_card"}
    assert client.post("/v1/recommendations", json=slate, headers=headers).status_code == 404
    named = {**slate, "experiment": RUNNING.key}
    assert client.post("/v1/recommendations", json=named, headers=headers).status_code == 404
    assert client.get("/v1/experiments", headers=headers).json() == {"experiments": []}
    event = {
        "type": "exposure",
        "experiment": RUNNING.key,
        "user_id": "u001",
        "surface": "home_card",
        "at": datetime.now(UTC).isoformat(),
    }
    reply = client.post("/v1/events", json={"events": [event]}, headers=headers).json()
    assert (reply["rejected"], reply["items"][0]["code"]) == (1, "unknown_experiment")


def test_a_token_never_shows_in_the_log(guarded: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    text = guarded.token("read")
    guarded.client.get("/v1/experiments", headers={"Authorization": f"Bearer {text}"})
    guarded.client.post("/v1/assignments", json={"user_id": "u"}, headers={"Authorization": f"Bearer {text}"})
    secret = text.split("_", 2)[2]
    assert secret not in caplog.text
    assert secret not in (guarded.home.folder / "service" / "roster.json").read_text()


@pytest.mark.parametrize(
    "wicked",
    [
        "'; DROP TABLE events; --",
        "../../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "{{7*7}}${7*7}<%= 7*7 %>",
        '"><script>alert(1)</script>',
        "%00",
        "u\u202e001",
        "\U0001f600" * 50,
    ],
)
def test_wicked_names_are_names_like_any_other(service: Service, wicked: str) -> None:
    told = service.client.post("/v1/assignments", json={"user_id": wicked}).json()["assignments"]
    assert [one["user_id"] for one in told] == [wicked]
    slate = service.client.post("/v1/recommendations", json={"user_id": wicked, "surface": "home_card"})
    assert slate.status_code == 200
    served = slate.json()
    event = {
        "type": "impression",
        "experiment": RUNNING.key,
        "user_id": wicked,
        "surface": "home_card",
        "title_id": served["slate"][0]["title_id"],
        "at": served["at"],
        "request_id": served["request_id"],
        "position": 0,
    }
    reply = service.client.post("/v1/events", json={"events": [event]}).json()
    assert reply["stored"] == 1
    unknown = service.client.post("/v1/events", json={"events": [{**event, "title_id": wicked}]}).json()
    assert unknown["items"][0]["code"] == "unknown_title"
    assert service.client.post("/v1/erasures", json={"user_id": wicked}).json()["rows"] >= 2
    assert service.store.experiment(RUNNING.key).experiment == replace(RUNNING)


@pytest.mark.parametrize("path", ["/v1/../../etc/passwd", "/..%2f..%2fetc/passwd", "/v1/nothing", "/static/x", "//"])
def test_there_is_nothing_behind_other_paths(service: Service, path: str) -> None:
    reply = service.client.get(path)
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
