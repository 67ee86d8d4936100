"""Events over HTTP: what each becomes in the database, under which id, and why one is not taken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from ab_platform.api.app import Web
from ab_platform.events import event_id
from ab_platform.pseudonym import Pseudonyms
from ab_platform.storage.connection import connect
from tests.api.conftest import RUNNING, Home, Service, start

PATH = "/v1/events"
TODAY = datetime.combine(datetime.now(UTC).date(), datetime.min.time(), UTC)
KEY = "a key of user ids that nobody guesses"


def slate(service: Service, user: str = "u001", at: datetime = TODAY) -> dict[str, Any]:
    asked = {"user_id": user, "surface": "home_card", "at": at.isoformat()}
    told: dict[str, Any] = service.client.post("/v1/recommendations", json=asked).json()
    return told


def impression(shown: dict[str, Any], position: int = 0, **more: object) -> dict[str, object]:
    return {
        "type": "impression",
        "experiment": shown["experiment"],
        "user_id": shown["user_id"],
        "surface": shown["surface"],
        "title_id": shown["slate"][position]["title_id"],
        "at": shown["at"],
        "request_id": shown["request_id"],
        "position": position,
        **more,
    }


def outcome(kind: str, shown: dict[str, Any], position: int = 0, **more: object) -> dict[str, object]:
    """Return a click or a watch of what was shown, four seconds later."""
    at = datetime.fromisoformat(shown["at"]) + timedelta(seconds=4)
    return {
        "type": kind,
        "experiment": shown["experiment"],
        "user_id": shown["user_id"],
        "surface": shown["surface"],
        "title_id": shown["slate"][position]["title_id"],
        "at": at.isoformat(),
        "impression_id": shown["slate"][position]["impression_id"],
        **more,
    }


def exposure(user: str = "u001", at: datetime = TODAY, **more: object) -> dict[str, object]:
    told = {"type": "exposure", "experiment": RUNNING.key, "user_id": user, "surface": "home_card"}
    return {**told, "at": at.isoformat(), **more}


def send(service: Service, *events: dict[str, object]) -> dict[str, Any]:
    reply = service.client.post(PATH, json={"events": events})
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def rows(service: Service, table: str = "events") -> list[dict[str, Any]]:
    with connect(service.home.url).connect() as connection:
        return [dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()]


def same_moment(stored: str, told: str) -> bool:
    return datetime.fromisoformat(stored).replace(tzinfo=UTC) == datetime.fromisoformat(told)


def test_an_impression_is_stored_as_it_was_told(service: Service) -> None:
    shown = slate(service)
    told = send(service, impression(shown, 3, served_by="popularity", latency_ms=2.5))
    assert told["items"] == [
        {"status": "stored", "event_id": shown["slate"][3]["impression_id"], "code": None, "reason": None}
    ]
    [row] = rows(service)
    assert same_moment(row.pop("at"), shown["at"])
    assert row == {
        "event_id": UUID(shown["slate"][3]["impression_id"]).hex,
        "kind": "impression",
        "experiment": RUNNING.key,
        "user_id": "u001",
        "arm": shown["arm"],
        "surface": "home_card",
        "title_id": shown["slate"][3]["title_id"],
        "slate_id": UUID(shown["request_id"]).hex,
        "position": 3,
        "served_by": "popularity",
        "impression_id": None,
        "watch_seconds": None,
        "latency_ms": 2.5,
    }


def test_an_impression_without_more_is_served_by_the_arm_at_an_unknown_pace(service: Service) -> None:
    shown = slate(service)
    send(service, impression(shown))
    [row] = rows(service)
    assert (row["served_by"], row["latency_ms"]) == (shown["arm"], None)


@pytest.mark.parametrize(("kind", "more", "seconds"), [("click", {}, None), ("watch", {"watch_seconds": 12.5}, 12.5)])
def test_an_outcome_is_stored_as_it_was_told(
    service: Service, kind: str, more: dict[str, object], seconds: float | None
) -> None:
    shown = slate(service)
    event = outcome(kind, shown, 2, **more)
    told = send(service, event)
    at = datetime.fromisoformat(str(event["at"]))
    made = event_id(at, f"{shown['slate'][2]['impression_id']}/{kind}")
    assert told["items"][0]["event_id"] == str(made)
    [row] = rows(service)
    assert same_moment(row.pop("at"), str(event["at"]))
    assert row == {
        "event_id": made.hex,
        "kind": kind,
        "experiment": RUNNING.key,
        "user_id": "u001",
        "arm": shown["arm"],
        "surface": "home_card",
        "title_id": shown["slate"][2]["title_id"],
        "slate_id": None,
        "position": None,
        "served_by": None,
        "impression_id": UUID(shown["slate"][2]["impression_id"]).hex,
        "watch_seconds": seconds,
        "latency_ms": None,
    }


def test_an_exposure_is_kept_once_at_its_earliest_and_is_no_event(service: Service) -> None:
    later = exposure(at=TODAY + timedelta(seconds=5))
    assert send(service, later)["items"] == [{"status": "stored", "event_id": None, "code": None, "reason": None}]
    assert send(service, later)["items"][0]["status"] == "duplicate"
    send(service, exposure())
    [row] = rows(service, "exposures")
    assert (row["experiment"], row["user_id"], row["surface"]) == (RUNNING.key, "u001", "home_card")
    assert row["arm"] == slate(service)["arm"]
    assert same_moment(row["at"], TODAY.isoformat())
    assert rows(service) == []


def test_the_first_impression_is_an_exposure(service: Service) -> None:
    shown = slate(service)
    send(service, *(impression(shown, position) for position in range(RUNNING.slate_size)))
    [row] = rows(service, "exposures")
    assert (row["user_id"], row["arm"]) == ("u001", shown["arm"])
    assert same_moment(row["at"], shown["at"])


def test_ids_made_from_the_content_are_those_of_the_slate(service: Service) -> None:
    shown = slate(service)
    every = range(RUNNING.slate_size)
    told = send(service, *(impression(shown, position) for position in every))
    assert [item["event_id"] for item in told["items"]] == [place["impression_id"] for place in shown["slate"]]


@pytest.mark.parametrize("years", [1, 1_000, 7_900])
def test_a_slate_s_id_of_another_time_does_not_date_its_impressions(service: Service, years: int) -> None:
    shown = slate(service)
    far = UUID(int=shown_ms(shown) + years * 365 * 24 * 3_600_000 << 80 | 7 << 76 | 0b10 << 62)
    [told] = send(service, impression(shown, request_id=str(far)))["items"]
    assert UUID(told["event_id"]).int >> 80 == shown_ms(shown)


def shown_ms(shown: dict[str, Any]) -> int:
    return UUID(shown["request_id"]).int >> 80


def test_an_event_is_kept_under_the_id_that_its_client_made(service: Service) -> None:
    shown = slate(service)
    own = event_id(TODAY, "an id of the client's own")
    assert send(service, impression(shown, event_id=str(own)))["items"][0]["event_id"] == str(own)
    assert rows(service)[0]["event_id"] == own.hex


def test_what_is_sent_again_is_a_duplicate_in_a_batch_and_over_batches(service: Service) -> None:
    shown = slate(service)
    first = send(service, impression(shown, 0), impression(shown, 0), impression(shown, 1))
    assert [item["status"] for item in first["items"]] == ["stored", "duplicate", "stored"]
    assert (first["stored"], first["duplicates"], first["spooled"], first["rejected"]) == (2, 1, 0, 0)
    second = send(service, impression(shown, 1), impression(shown, 2))
    assert [item["status"] for item in second["items"]] == ["duplicate", "stored"]
    assert len(rows(service)) == 3


def other_arm(shown: dict[str, Any]) -> str:
    return next(arm.name for arm in RUNNING.arms if arm.name != shown["arm"])


def test_each_event_is_answered_for_itself_in_the_order_sent(service: Service) -> None:
    shown = slate(service)
    hour = timedelta(hours=1)
    wanted: list[tuple[dict[str, object], str | None, str]] = [
        (impression(shown), None, ""),
        ({**impression(shown), "type": "smile"}, "invalid", ""),
        ({**impression(shown), "position": -1}, "invalid", "position: "),
        (impression(shown, 1, more="more"), "invalid", "more: "),
        (impression(shown, 1, experiment="smal-run"), "unknown_experiment", "did you mean 'small-run'?"),
        (impression(shown, 1, title_id="x"), "unknown_title", "title 'x' is not in data set 'small'; ingest it first"),
        (impression(shown, 1, arm=other_arm(shown)), "other_arm", f"'{shown['arm']}'"),
        (impression(shown, 1, at=(datetime.now(UTC) + hour).isoformat()), "future", "set the clock"),
        (impression(shown, 1, at=(TODAY - 24 * hour).isoformat()), "before_start", "the experiment starts at"),
        (impression(shown, 1, event_id=str(UUID(int=4 << 76 | 2 << 62))), "event_id", "not a UUID of version 7"),
        (impression(shown, 1, event_id=str(event_id(TODAY - 48 * hour, "a"))), "event_id", "of a moment near"),
        (outcome("click", shown), None, ""),
        (outcome("watch", shown), "invalid", "watch_seconds: "),
        (outcome("watch", shown, watch_seconds=90_000.0), "invalid", "watch_seconds: "),
        (exposure(arm=shown["arm"]), None, ""),
    ]
    told = send(service, *(event for event, _, _ in wanted))
    for item, (event, code, words) in zip(told["items"], wanted, strict=True):
        if code is None:
            assert (item["status"], item["code"], item["reason"]) == ("stored", None, None), event
        else:
            assert (item["status"], item["code"], item["event_id"]) == ("rejected", code, None), event
            assert words in item["reason"]
    assert (told["stored"], told["duplicates"], told["rejected"]) == (3, 0, 12)
    assert sorted(row["kind"] for row in rows(service)) == ["click", "impression"]


def test_an_event_on_a_surface_that_is_not_served_is_rejected(service: Service) -> None:
    assert set(RUNNING.surfaces) == {"home_card", "movie_card"}
    reply = service.client.post(PATH, json={"events": [exposure() | {"surface": "settings"}]}).json()
    assert reply["items"][0]["code"] == "invalid"
    assert reply["items"][0]["reason"].startswith("surface: ")


def test_events_of_users_whom_the_traffic_leaves_out_now_are_taken(service: Service) -> None:
    shown = slate(service)
    service.store.ramp(RUNNING.key, 0.0001, at=datetime.now(UTC))
    service.worker.refresh()
    assert slate(service)["arm"] is None
    assert send(service, impression(shown))["stored"] == 1


def test_events_of_a_stopped_experiment_are_taken(service: Service) -> None:
    shown = slate(service)
    service.store.stop(RUNNING.key, at=datetime.now(UTC))
    service.worker.refresh()
    assert send(service, impression(shown), outcome("click", shown))["stored"] == 2


def test_what_an_erased_user_did_before_is_not_taken_and_what_comes_after_is(service: Service) -> None:
    shown = slate(service)
    send(service, impression(shown), outcome("click", shown))
    erased = service.client.post("/v1/erasures", json={"user_id": "u001"}).json()
    assert erased["rows"] >= 3
    assert service.client.post("/v1/erasures", json={"user_id": "u001"}).json() == {"rows": 0}
    assert rows(service) == rows(service, "exposures") == []
    service.worker.refresh()
    told = send(service, impression(shown), impression(slate(service, "u002")))
    assert [item["code"] for item in told["items"]] == ["erased", None]
    assert send(service, exposure(at=datetime.now(UTC)))["stored"] == 1


@pytest.fixture
def keyed(home: Home) -> Iterator[Service]:
    """A service that knows users by a keyed hash of their ids."""
    yield from start(home, Web(open_to_all=True), key=KEY)


def test_with_a_key_users_are_stored_by_their_keyed_hash_only(keyed: Service) -> None:
    known_as = Pseudonyms(KEY).of("u001")
    shown = slate(keyed)
    assert shown["user_id"] == "u001"
    watched = outcome("watch", shown, watch_seconds=5.0)
    told = send(keyed, impression(shown), outcome("click", shown), watched, exposure())
    assert told["stored"] == 4
    assert told["items"][0]["event_id"] == shown["slate"][0]["impression_id"]
    assert {row["user_id"] for row in rows(keyed)} == {known_as}
    assert {row["user_id"] for row in rows(keyed, "exposures")} == {known_as}
    again = slate(keyed, at=TODAY + timedelta(seconds=10))
    assert again["arm"] == shown["arm"]
    assert shown["slate"][0]["title_id"] not in {place["title_id"] for place in again["slate"]}
    assert keyed.client.post("/v1/erasures", json={"user_id": "u001"}).json()["rows"] >= 4
    assert rows(keyed) == []


def test_a_batch_as_a_whole_is_bounded(service: Service) -> None:
    for events in ([], [exposure()] * 5_001):
        reply = service.client.post(PATH, json={"events": events})
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid")
        assert reply.json()["detail"].startswith("events: ")
    assert send(service, *[exposure()] * 5_000)["duplicates"] == 4_999
