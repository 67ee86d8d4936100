"""The rules of repetition, without a network: what a reply means for what is sent next, and when."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.client.calls import Reply, retry_after
from ab_platform.client.delivery import LONGEST_BACKOFF_SECONDS, PAUSE_SECONDS, Delivery
from ab_platform.client.pace import Pace
from ab_platform.client.queues import MemoryQueue
from tests.client.made import clicks, lines

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Longest(Random):
    """Chance that makes every pause as long as it may be."""

    def uniform(self, a: float, b: float) -> float:
        return b


def delivery(count: int = 10, *, batch_size: int = 100, rng: Random | None = None) -> Delivery:
    queue = MemoryQueue()
    queue.put(lines(clicks(count)))
    return Delivery(queue, batch_size=batch_size, on_rejected=None, rng=rng or Random(0))


def kept(count: int, status: str = "stored") -> Reply:
    return Reply(200, json.dumps({"items": [{"status": status}] * count}).encode())


def after(sending: Delivery, reply: Reply | None) -> float:
    batch = sending.next()
    assert batch is not None
    return sending.replied(batch, reply)


def test_pauses_double_up_to_a_bound_and_begin_anew_after_a_success() -> None:
    sending = delivery(rng=Longest())
    pauses = [after(sending, None) for _ in range(10)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert after(sending, kept(10)) == 0.0
    again = delivery(20, batch_size=10, rng=Longest())
    assert [after(again, None), after(again, kept(10)), after(again, None)] == [0.5, 0.0, 0.5]


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_pauses_are_spread_from_nothing_to_the_bound(seed: int, failures: int) -> None:
    sending = delivery(rng=Random(seed))
    pauses = [after(sending, Reply(503, b"")) for _ in range(failures)]
    assert all(0.0 <= pause <= min(LONGEST_BACKOFF_SECONDS, 0.5 * 2**n) for n, pause in enumerate(pauses))
    assert sending.counts().waiting == 10


def test_a_pause_that_the_service_asks_for_is_never_shortened() -> None:
    sending = delivery()
    assert all(after(sending, Reply(503, b"", retry_after_seconds=5.0)) >= 5.0 for _ in range(20))


@pytest.mark.parametrize("status", [401, 403, 404, 405, 415, 302])
def test_what_people_must_mend_keeps_the_events_and_pauses(status: int) -> None:
    sending = delivery()
    assert after(sending, Reply(status, b"")) == PAUSE_SECONDS
    assert sending.counts().waiting == 10


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_batch_is_halved_down_to_the_event_that_is_refused_alone(status: int) -> None:
    sending = delivery(8)
    sizes = []
    for _ in range(4):
        batch = sending.next()
        assert batch is not None
        sizes.append(len(batch.lines))
        assert sending.replied(batch, Reply(status, b"")) == 0.0
    assert sizes == [8, 4, 2, 1]
    assert (sending.counts().rejected, sending.counts().waiting) == (1, 7)


def test_batches_grow_again_after_a_success() -> None:
    sending = delivery(64, batch_size=16)
    after(sending, Reply(413, b""))
    assert sending.batch_size == 8
    after(sending, kept(8))
    assert sending.batch_size == 16


def test_a_reply_that_does_not_speak_of_every_event_counts_as_none() -> None:
    for body in (
        b"",
        b"<html>",
        b"[]",
        b'{"items": 3}',
        b'{"items": [{"status": "stored"}]}',
        b'{"items": ["stored"]}',
    ):
        sending = delivery(10)
        after(sending, Reply(200, body))
        assert (sending.counts().waiting, sending.counts().failures) == (10, 1)


@pytest.mark.parametrize(
    ("status", "name"), [("stored", "stored"), ("duplicate", "duplicates"), ("spooled", "spooled")]
)
def test_what_became_of_the_events_is_counted(status: str, name: str) -> None:
    sending = delivery(10)
    assert after(sending, kept(10, status)) == 0.0
    counts = sending.counts()
    assert (getattr(counts, name), counts.waiting, counts.dropped) == (10, 0, 0)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("1e9", 3600.0),
        ("", None),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=NOW) == seconds


def test_a_batch_is_due_when_it_is_full_or_old_or_asked_for_and_never_in_a_pause() -> None:
    pace = Pace(flush_seconds=2.0)
    assert pace.seconds_left(10.0, waiting=0, batch_size=5) is None
    pace.arrived(10.0)
    pace.arrived(11.0)
    assert pace.seconds_left(11.0, waiting=2, batch_size=5) == 1.0
    assert pace.seconds_left(12.5, waiting=2, batch_size=5) == 0.0
    assert pace.seconds_left(11.0, waiting=5, batch_size=5) == 0.0
    pace.hurry()
    assert pace.seconds_left(11.0, waiting=1, batch_size=5) == 0.0
    pace.sent(11.0, waiting=1, pause_seconds=4.0)
    assert pace.seconds_left(12.0, waiting=9, batch_size=5) == 3.0
    assert pace.paused(12.0) == 3.0
