"""The asyncio client: the same verbs and promises."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest

from ab_platform.client import AsyncClient, Rejected
from ab_platform.client.delivery import OnRejected
from ab_platform.errors import NotFoundError, ServiceAwayError, ServiceError
from tests.client.fake_service import TOKEN, UNKNOWN_TITLE, FakeService
from tests.client.made import AT, NoJitter, click, clicks, client, ids
from tests.client.test_outbox import nowhere
from tests.storage.made import KEY


def aclient(
    url: str,
    *,
    outbox: Path | None = None,
    timeout_seconds: float = 0.5,
    batch_size: int = 100,
    flush_seconds: float = 0.02,
    on_rejected: OnRejected | None = None,
) -> AsyncClient:
    return AsyncClient(
        url,
        TOKEN,
        outbox=outbox,
        timeout_seconds=timeout_seconds,
        batch_size=batch_size,
        flush_seconds=flush_seconds,
        on_rejected=on_rejected,
        rng=NoJitter(),
        clock=lambda: AT,
    )


def test_both_clients_are_told_the_same(service: FakeService) -> None:
    async def ask() -> tuple[object, ...]:
        async with aclient(service.url) as asking:
            slate = await asking.recommend("42", "home_card", at=AT)
            return await asking.assign("42", [KEY]), slate, await asking.experiments(), await asking.ready()

    with client(service.url) as asking:
        told = (
            asking.assign("42", [KEY]),
            asking.recommend("42", "home_card", at=AT),
            asking.experiments(),
            asking.ready(),
        )
    assert asyncio.run(ask()) == told


def test_both_clients_send_the_same(service: FakeService) -> None:
    async def send() -> None:
        async with aclient(service.url) as sending:
            slate = await sending.recommend("42", "home_card", at=AT)
            await sending.shown(slate)
            await sending.clicked(slate, 1, AT + timedelta(seconds=1))
            await sending.watched(slate, 1, 9.0, AT + timedelta(seconds=2))
            await sending.exposed(KEY, "42", "home_card")

    asyncio.run(send())
    by_task, service.stored = service.stored, {}
    with client(service.url) as sending:
        slate = sending.recommend("42", "home_card", at=AT)
        sending.shown(slate)
        sending.clicked(slate, 1, AT + timedelta(seconds=1))
        sending.watched(slate, 1, 9.0, AT + timedelta(seconds=2))
        sending.exposed(KEY, "42", "home_card")
    assert by_task == service.stored
    assert service.exposures[0] == service.exposures[1]


def test_failures_are_repeated_with_the_same_ids(service: FakeService) -> None:
    service.faults.extend([503, "broken", "hang_after_storing"])
    bad = click(77, title=UNKNOWN_TITLE)
    told: list[Rejected] = []

    async def send() -> None:
        async with aclient(service.url, on_rejected=told.append) as sending:
            await sending.send([*clicks(5), bad])
            assert await sending.flush(10)
            assert sending.counts().waiting == 0

    asyncio.run(send())
    assert set(service.stored) == ids(clicks(5))
    assert [each.event for each in told] == [bad]
    assert all(each == service.seen[0] for each in service.seen)


def test_errors_are_those_of_the_other_client(service: FakeService) -> None:
    async def ask() -> None:
        async with aclient(service.url) as asking:
            with pytest.raises(NotFoundError):
                await asking.assign("42", ["nope"])
        with pytest.raises(ServiceError, match="is closed"):
            await asking.send(clicks(1))
        async with aclient(nowhere()) as asking:
            assert not await asking.ready()
            with pytest.raises(ServiceAwayError):
                await asking.assign("42")

    asyncio.run(ask())


def test_the_loop_goes_on_while_the_service_hangs(service: FakeService) -> None:
    service.faults.extend(["hang_after_storing"] * 2)

    async def send() -> float:
        async with aclient(service.url, batch_size=1) as sending:
            await sending.send(clicks(1))
            await asyncio.sleep(0.1)
            begun = time.monotonic()
            for event in clicks(100):
                await sending.send([event])
            return time.monotonic() - begun

    assert asyncio.run(send()) < 0.3


def test_an_outbox_of_one_client_is_sent_by_the_other(service: FakeService, tmp_path: Path) -> None:
    async def leave() -> None:
        sending = aclient(nowhere(), outbox=tmp_path)
        await asyncio.gather(*(sending.send([event]) for event in clicks(8)))
        await sending.close(0)

    async def resume() -> None:
        async with aclient(service.url, outbox=tmp_path) as sending:
            assert await sending.flush(5)

    asyncio.run(leave())
    assert list(tmp_path.glob("*.events"))
    asyncio.run(resume())
    assert set(service.stored) == ids(clicks(8))
    assert list(tmp_path.glob("*.events")) == []


def test_a_flush_does_not_wait_for_more_events(service: FakeService) -> None:
    async def send() -> None:
        async with aclient(service.url, flush_seconds=60) as sending:
            await sending.send(clicks(3))
            assert await sending.flush(5)

    asyncio.run(send())
    assert set(service.stored) == ids(clicks(3))
