"""The client against a service that fails in every way that services do."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from datetime import timedelta
from uuid import UUID

import pytest

from ab_platform.client import Client, Rejected, impression_id
from ab_platform.errors import EventError, NotFoundError, ServiceAwayError, ServiceError
from ab_platform.events import Click, Exposure, Impression, Watch, event_id
from tests.client.fake_service import TOKEN, UNKNOWN_TITLE, FakeService, Fault, serving
from tests.client.made import AT, click, clicks, client, ids
from tests.storage.made import KEY, definition, launch


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_user_gets_the_arm_that_the_service_says(service: FakeService) -> None:
    with client(service.url) as asking:
        [assigned] = asking.assign("42")
        assert (assigned.user_id, assigned.experiment, assigned.reason) == ("42", KEY, "split")
        assert assigned.arm in ("control", "pia")
        assert assigned.control == (assigned.arm == "control")
        assert asking.assign("42", [KEY]) == (assigned,)


def test_many_users_are_asked_for_in_several_requests(service: FakeService) -> None:
    users = [f"u{number}" for number in range(10_001)]
    with client(service.url, timeout_seconds=20) as asking:
        found = asking.assign_many(users, [KEY])
    assert [each.user_id for each in found] == users
    assert {each.arm for each in found} == {"control", "pia"}


def test_every_request_names_the_token_and_the_client(service: FakeService) -> None:
    with client(service.url) as asking:
        asking.experiments()
    assert service.headers["Authorization"] == f"Bearer {TOKEN}"
    assert service.headers["User-Agent"].startswith("ab-platform/")


def test_the_experiments_are_told_with_their_arms(service: FakeService) -> None:
    with client(service.url) as asking:
        [experiment] = asking.experiments()
    assert (experiment.experiment, experiment.state, experiment.clock) == (KEY, "running", "live")
    assert [(arm.arm, arm.control) for arm in experiment.arms] == [("control", True), ("pia", False)]
    assert experiment.ends_at - experiment.starts_at == timedelta(days=7)


def test_an_unknown_experiment_is_not_found(service: FakeService) -> None:
    with client(service.url) as asking, pytest.raises(NotFoundError, match="'nope' is not launched"):
        asking.assign("42", ["nope"])


def test_a_wrong_token_is_refused_in_words_that_say_so(service: FakeService) -> None:
    with client(service.url, token="abp_wrong") as asking, pytest.raises(ServiceError, match="HTTP 401") as caught:
        asking.assign("42")
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


def test_a_service_that_is_not_there_is_away() -> None:
    with client(f"http://127.0.0.1:{unused_port()}") as asking:
        with pytest.raises(ServiceAwayError, match="does not answer"):
            asking.assign("42")
        assert not asking.ready()


def test_a_service_that_is_not_ready_is_away_with_its_status(service: FakeService) -> None:
    service.ready = False
    service.retry_after = "7"
    with client(service.url) as asking:
        assert not asking.ready()
        with pytest.raises(ServiceAwayError) as caught:
            asking.assign("42")
    assert (caught.value.status, caught.value.retry_after_seconds) == (503, 7.0)


@pytest.mark.parametrize("url", ["ab.example.org", "ftp://ab.example.org", "", "http://"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ServiceError, match="must be like https://"):
        Client(url, TOKEN)


@pytest.mark.parametrize("token", ["", "with space", "line\nend", "töken"])
def test_a_token_that_is_none_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ServiceError) as caught:
        Client("http://127.0.0.1:1", token)
    assert not token or token not in str(caught.value)


def test_a_slate_shown_clicked_and_watched_makes_the_events_of_the_wire(service: FakeService) -> None:
    with client(service.url) as sending:
        slate = sending.recommend("42", "home_card", at=AT)
        assert sending.shown(slate) == 3
        assert sending.clicked(slate, 1, AT + timedelta(seconds=2)) == 1
        assert sending.watched(slate, 1, 30.5, AT + timedelta(seconds=3)) == 1
        assert sending.flush(5)
        assert sending.counts().stored == 5
    place = slate.places[1]
    assert place.impression_id == impression_id(slate.request_id, 1)
    shown = service.stored[str(place.impression_id)]
    assert (shown["type"], shown["position"], shown["request_id"]) == ("impression", 1, str(slate.request_id))
    clicked = service.stored[str(event_id(AT + timedelta(seconds=2), f"{place.impression_id}/click"))]
    assert (clicked["type"], clicked["impression_id"], clicked["title_id"]) == ("click", str(place.impression_id), "t1")
    watched = service.stored[str(event_id(AT + timedelta(seconds=3), f"{place.impression_id}/watch"))]
    assert watched["watch_seconds"] == 30.5


def test_saying_the_same_twice_stores_it_once(service: FakeService) -> None:
    with client(service.url) as sending:
        slate = sending.recommend("42", "home_card", at=AT)
        for _ in range(2):
            sending.shown(slate, [0, 2])
            sending.clicked(slate, 0, AT)
            sending.flush(5)
        assert (sending.counts().stored, sending.counts().duplicates) == (3, 3)
    assert len(service.stored) == 3


def test_a_click_by_a_clock_that_runs_behind_does_not_come_before_its_slate(service: FakeService) -> None:
    with client(service.url) as sending:
        slate = sending.recommend("42", "home_card", at=AT)
        sending.clicked(slate, 0, AT - timedelta(seconds=3))
        assert sending.flush(5)
    [kept] = service.stored.values()
    assert kept["at"] == AT.isoformat()


def test_a_user_in_no_arm_makes_no_events(service: FakeService) -> None:
    service.launches = [launch(definition(buckets=(0, 1)))]
    with client(service.url) as sending:
        slate = sending.recommend("42", "home_card", at=AT)
        assert slate.arm is None
        assert [sending.shown(slate), sending.clicked(slate, 0), sending.watched(slate, 0, 3.0)] == [0, 0, 0]
        assert sending.flush(5)
    assert service.seen == []


def test_a_position_that_is_not_in_the_slate_is_an_error(service: FakeService) -> None:
    with client(service.url) as sending:
        slate = sending.recommend("42", "home_card", at=AT)
        with pytest.raises(EventError, match="must be from 0 to 2"):
            sending.clicked(slate, 3)


def test_an_exposure_travels_without_title_and_id(service: FakeService) -> None:
    with client(service.url) as sending:
        sending.exposed(KEY, "42", "home_card")
        assert sending.flush(5)
    sent = {"type": "exposure", "experiment": KEY, "user_id": "42", "surface": "home_card", "at": AT.isoformat()}
    assert service.exposures == [sent]


def test_events_of_the_platform_travel_as_they_are(service: FakeService) -> None:
    common = (KEY, "42", "pia", "home_card", "t0", AT)
    first, second, third = (event_id(AT, f"{number}") for number in range(3))
    slate = event_id(AT, "slate")
    with client(service.url) as sending:
        sending.send(
            [
                Impression(first, *common, slate, 0, "popularity", 2.5),  # type: ignore[arg-type]
                Click(second, *common, first),  # type: ignore[arg-type]
                Watch(third, *common, first, 12.0),  # type: ignore[arg-type]
                Exposure(KEY, "42", "pia", "home_card", AT),
            ]
        )
        assert sending.flush(5)
    assert service.stored[str(first)]["served_by"] == "popularity"
    assert {UUID(each) for each in service.stored} == {first, second, third}
    assert [each["arm"] for each in service.exposures] == ["pia"]


def test_an_address_that_is_another_s_is_no_unknown_experiment(service: FakeService) -> None:
    with client(f"{service.url}/elsewhere") as asking, pytest.raises(ServiceError, match="HTTP 404") as caught:
        asking.experiments()
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("fault", [503, 500, 429, 408, "broken", "nonsense"])
def test_a_batch_that_fails_is_sent_again_with_the_same_ids(service: FakeService, fault: int | Fault) -> None:
    service.faults.extend([fault, fault])
    with client(service.url) as sending:
        sending.send(clicks(5))
        assert sending.flush(10)
        assert sending.counts().stored == 5
    assert set(service.stored) == ids(clicks(5))
    assert len(service.seen) >= 3
    assert all(each == service.seen[0] for each in service.seen)


def test_a_reply_that_comes_too_late_after_storing_makes_nothing_twice(service: FakeService) -> None:
    service.faults.append("hang_after_storing")
    with client(service.url, timeout_seconds=0.3) as sending:
        sending.send(clicks(5))
        assert sending.flush(10)
        counts = sending.counts()
    assert (counts.duplicates, counts.stored, counts.failures) == (5, 0, 1)
    assert set(service.stored) == ids(clicks(5))


def test_the_service_is_left_alone_for_as_long_as_it_asks(service: FakeService) -> None:
    service.faults.append(503)
    service.retry_after = "1"
    with client(service.url) as sending:
        sending.send(clicks(1))
        begun = time.monotonic()
        assert sending.flush(10)
    assert time.monotonic() - begun >= 1.0
    assert len(service.seen) == 2


def test_a_flush_does_not_wait_for_a_pause_that_is_longer(service: FakeService) -> None:
    service.faults.append(503)
    service.retry_after = "3000"
    with client(service.url) as sending:
        sending.send(clicks(1))
        begun = time.monotonic()
        assert not sending.flush(20)
    assert time.monotonic() - begun < 10
    assert len(service.seen) == 1


def test_a_rejected_event_is_told_and_does_not_hold_up_the_others(
    service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Rejected] = []
    bad = click(7, title=UNKNOWN_TITLE)
    with client(service.url, on_rejected=told.append) as sending:
        sending.send([*clicks(3), bad, click(9)])
        assert sending.flush(5)
        assert (sending.counts().stored, sending.counts().rejected) == (4, 1)
    assert [(each.event, each.code) for each in told] == [(bad, "unknown_title")]
    assert "is rejected (unknown_title)" in caplog.text
    assert len(service.seen) == 1


def test_a_callback_that_fails_does_not_stop_the_sending(service: FakeService) -> None:
    def fail(rejected: Rejected) -> None:
        raise RuntimeError(rejected.code)

    with client(service.url, on_rejected=fail) as sending:
        sending.send([click(7, title=UNKNOWN_TITLE)])
        assert sending.flush(5)
        sending.send(clicks(2))
        assert sending.flush(5)
    assert set(service.stored) == ids(clicks(2))


def test_batches_that_are_too_large_are_halved(service: FakeService) -> None:
    service.most = 6
    with client(service.url, batch_size=50) as sending:
        sending.send(clicks(50))
        assert sending.flush(10)
    assert set(service.stored) == ids(clicks(50))


def test_one_event_of_a_wrong_shape_is_found_and_the_rest_is_stored(service: FakeService) -> None:
    told: list[Rejected] = []
    bad = click(7, user="u" * 300)
    with client(service.url, on_rejected=told.append) as sending:
        sending.send([*clicks(20)[:13], bad, *clicks(20)[13:]])
        assert sending.flush(10)
    assert set(service.stored) == ids(clicks(20))
    assert [(each.event, each.code) for each in told] == [(bad, "wrong_shape")]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_events_wait_while_the_service_does_not_know_the_token_or_the_address(
    service: FakeService, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    service.faults.extend([status] * 5)
    with client(service.url) as sending:
        sending.send(clicks(3))
        assert not sending.flush(2)
        assert sending.counts().waiting == 3
    assert len(service.seen) == 1
    assert f"HTTP {status}" in caplog.text
    assert "3 events are lost" in caplog.text


def test_a_full_queue_drops_its_oldest_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with client(f"http://127.0.0.1:{unused_port()}", most_waiting=10) as sending:
        for event in clicks(30):
            sending.send([event])
        assert (sending.counts().waiting, sending.counts().dropped) == (10, 20)
        sending.close(0)
    assert caplog.text.count("the oldest are dropped") == 1


def test_nothing_waits_for_a_service_that_hangs(service: FakeService) -> None:
    service.faults.extend(["hang_after_storing"] * 3)
    with client(service.url, batch_size=1) as sending:
        sending.send(clicks(1))
        time.sleep(0.1)  # the sender hangs now
        begun = time.monotonic()
        for event in clicks(200):
            sending.send([event])
        assert time.monotonic() - begun < 0.3


def test_many_threads_send_through_one_client(service: FakeService) -> None:
    with client(service.url, batch_size=20) as sending:
        blocks = [clicks(400)[start : start + 50] for start in range(0, 400, 50)]
        threads = [
            threading.Thread(target=lambda block=block: [sending.send([each]) for each in block]) for block in blocks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sending.flush(10)
        assert sending.counts().stored == 400
    assert set(service.stored) == ids(clicks(400))


def test_events_go_together_and_not_one_by_one(service: FakeService) -> None:
    with client(service.url, flush_seconds=0.2) as sending:
        for event in clicks(40):
            sending.send([event])
        deadline = time.monotonic() + 5
        while len(service.stored) < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [len(each) for each in service.seen] == [40]


def test_closing_sends_what_waits(service: FakeService) -> None:
    with client(service.url, flush_seconds=60) as sending:
        sending.send(clicks(3))
        assert service.seen == []
    assert set(service.stored) == ids(clicks(3))
    with pytest.raises(ServiceError, match="is closed"):
        sending.send(clicks(1))


def test_a_service_that_restarts_is_asked_again_at_once() -> None:
    first = FakeService()
    with serving(first), client(first.url) as asking:
        before = asking.assign("42")
        first.faults.append("broken")
        asking.send(clicks(1))
        assert asking.flush(5)
        assert asking.assign("42") == before


def _send_in_child(sending: Client) -> None:
    sending.send(clicks(6)[3:])
    if not sending.flush(5):
        raise SystemExit(1)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_client_goes_on_in_a_forked_process(service: FakeService) -> None:
    with client(service.url, flush_seconds=60) as sending:
        sending.send(clicks(3))
        child = multiprocessing.get_context("fork").Process(target=_send_in_child, args=(sending,))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        assert set(service.stored) == ids(clicks(6)[3:])
    assert set(service.stored) == ids(clicks(6))


def test_a_time_without_a_zone_is_an_error_before_anything_is_sent(service: FakeService) -> None:
    with client(service.url) as sending:
        slate = sending.recommend("42", "home_card", at=AT)
        with pytest.raises(EventError, match="no time zone"):
            sending.clicked(slate, 0, AT.replace(tzinfo=None))
        with pytest.raises(EventError, match="no time zone"):
            sending.recommend("42", "home_card", at=AT.replace(tzinfo=None))


def test_a_number_that_json_has_no_word_for_is_an_error(service: FakeService) -> None:
    with client(service.url) as sending:
        slate = sending.recommend("42", "home_card", at=AT)
        with pytest.raises(EventError, match="not finite"):
            sending.watched(slate, 0, float("nan"))
