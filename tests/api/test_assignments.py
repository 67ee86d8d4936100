from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from ab_platform.assignment import assign
from tests.api.conftest import RUNNING, Service

PATH = "/v1/assignments"
USERS = [f"u{number:03d}" for number in range(400)]


def test_users_get_the_arm_that_the_salts_alone_give(service: Service) -> None:
    told = service.client.post(PATH, json={"user_ids": USERS}).json()["assignments"]
    low, high = RUNNING.layer_buckets
    for user, one in zip(USERS, told, strict=True):
        index = assign(
            user,
            layer_salt=RUNNING.layer,
            layer_start=low,
            layer_end=high,
            experiment_salt=RUNNING.salt,
            ranges=RUNNING.ranges(),
        ).arm_index
        assert index is not None
        arm = RUNNING.arms[index]
        assert one == {
            "user_id": user,
            "experiment": RUNNING.key,
            "arm": arm.name,
            "control": arm.control,
            "reason": "split",
        }


def test_one_user_and_many_are_told_the_same(service: Service) -> None:
    many = service.client.post(PATH, json={"user_ids": USERS[:20]}).json()["assignments"]
    alone = [service.client.post(PATH, json={"user_id": user}).json()["assignments"][0] for user in USERS[:20]]
    assert alone == many


def test_users_whom_the_traffic_leaves_out_are_in_no_arm(service: Service) -> None:
    service.store.ramp(RUNNING.key, 0.25, at=datetime.now(UTC))
    service.worker.refresh()
    told = service.client.post(PATH, json={"user_ids": USERS}).json()["assignments"]
    counts = Counter(one["reason"] for one in told)
    assert 60 < counts["split"] < 140
    assert counts["split"] + counts["not_in"] == 400
    assert all((one["arm"] is None) == (one["reason"] == "not_in") for one in told)


def test_a_stopped_experiment_is_not_among_all_and_says_so_when_named(service: Service) -> None:
    service.store.stop(RUNNING.key, at=datetime.now(UTC))
    service.worker.refresh()
    assert service.client.post(PATH, json={"user_id": "u001"}).json() == {"assignments": []}
    [one] = service.client.post(PATH, json={"user_id": "u001", "experiments": [RUNNING.key]}).json()["assignments"]
    assert (one["arm"], one["reason"]) == (None, "stopped")


def test_an_experiment_that_is_not_launched_is_not_found_with_the_nearest_key(service: Service) -> None:
    reply = service.client.post(PATH, json={"user_id": "u001", "experiments": ["smal-run"]})
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["code"] == "unknown_experiment"
    assert "did you mean 'small-run'?" in reply.json()["detail"]


def test_one_of_user_id_and_user_ids_is_required(service: Service) -> None:
    for body in ({}, {"user_id": "a", "user_ids": ["a"]}):
        reply = service.client.post(PATH, json=body)
        assert reply.status_code == 422
        assert "one of them" in reply.json()["detail"]


def test_the_database_may_be_gone(service: Service) -> None:
    before = service.client.post(PATH, json={"user_ids": USERS}).json()
    service.store.close()
    for file in service.home.folder.glob("abp.db*"):
        file.unlink()
    service.worker.refresh()
    assert service.client.post(PATH, json={"user_ids": USERS}).json() == before
