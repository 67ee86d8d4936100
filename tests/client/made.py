"""Events and clients of the tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from ab_platform.client import Client
from ab_platform.client.delivery import OnRejected
from ab_platform.client.wire_event import WireEvent
from ab_platform.events import event_id
from tests.client.fake_service import TOKEN
from tests.storage.made import KEY

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


class NoJitter(Random):
    """Chance that makes every pause as short as it may be, so that tests are quick."""

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * 0.02


def click(number: int, *, title: str = "t0", user: str = "u1") -> WireEvent:
    at = AT + timedelta(milliseconds=number)
    pointed = event_id(AT, f"slate/{number}")
    return WireEvent(
        "click", KEY, user, "home_card", at, title_id=title, event_id=event_id(at, f"{pointed}/click"),
        impression_id=pointed,
    )  # fmt: skip


def clicks(count: int) -> list[WireEvent]:
    return [click(number) for number in range(count)]


def ids(events: Iterable[WireEvent]) -> set[str]:
    return {str(event.event_id) for event in events}


def lines(events: Sequence[WireEvent]) -> list[bytes]:
    return [event.line() for event in events]


def client(
    url: str,
    *,
    outbox: Path | None = None,
    token: str = TOKEN,
    timeout_seconds: float = 0.5,
    batch_size: int = 100,
    flush_seconds: float = 0.02,
    on_rejected: OnRejected | None = None,
    most_waiting: int = 100_000,
) -> Client:
    return Client(
        url,
        token,
        outbox=outbox,
        timeout_seconds=timeout_seconds,
        batch_size=batch_size,
        flush_seconds=flush_seconds,
        on_rejected=on_rejected,
        most_waiting=most_waiting,
        rng=NoJitter(),
        clock=lambda: AT,
    )
