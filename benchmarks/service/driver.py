"""A small HTTP client for load: requests made beforehand, on connections that stay open, each timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isinf
from typing import cast

import numpy as np
import uvloop
from numpy.typing import NDArray

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Load:
    """What a load came to.

    Attributes:
        requests: that were answered.
        failed: of them, with another status than 200.
        marked: of them, with the mark in the reply.
        seconds: it took.
        busy: share of that time in which this process kept a core busy; near 1, the driver is what limits.
        latencies: of each request, in milliseconds, (requests,).
    """

    requests: int
    failed: int
    marked: int
    seconds: float
    busy: float
    latencies: NDArray[np.float64]

    @property
    def per_second(self) -> float:
        """Return the requests answered in a second."""
        return self.requests / self.seconds

    def quantile(self, share: float) -> float:
        """Return the milliseconds that a share of the requests did not exceed."""
        return float(np.quantile(self.latencies, share)) if len(self.latencies) else float("nan")


def request(method: str, path: str, body: bytes, *, token: str | None = None) -> bytes:
    """Write a request as it travels."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}"] + ([f"Authorization: Bearer {token}"] if token else [])
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float = inf,
    per_second: float = inf,
    mark: bytes = b"",
) -> Load:
    """Send requests from several connections, one at a time on each.

    Args:
        port: on this machine.
        requests: taken in turns by all connections; over and over, or each once where no time is given.
        connections: how many.
        seconds: how long.
        per_second: requests that are sent, at most.
        mark: counted in replies.

    Raises:
        TimeoutError: the service did not answer for a long time.
    """
    assert requests, "there is nothing to send"
    turns = _Turns(requests, seconds, per_second)
    return uvloop.run(_run(port, turns, connections, mark))


async def _run(port: int, turns: _Turns, connections: int, mark: bytes) -> Load:
    loop = asyncio.get_running_loop()
    started, worked = time.perf_counter(), time.process_time()
    made = [
        (await loop.create_connection(lambda: _Connection(turns, mark), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    patience = PATIENCE_SECONDS + (0.0 if isinf(turns.seconds) else turns.seconds)
    await asyncio.wait_for(asyncio.gather(*(each.ended for each in made)), patience)
    took = time.perf_counter() - started
    busy = (time.process_time() - worked) / took
    for each in made:
        each.transport.close()
    latencies = np.array([one for each in made for one in each.latencies]) * 1000.0
    failed, marked = sum(each.failed for each in made), sum(each.marked for each in made)
    return Load(len(latencies), failed, marked, took, busy, latencies)


class _Turns:
    """The next request for whoever asks, and when it is due, until there is no more or the time is over."""

    def __init__(self, requests: Sequence[bytes], seconds: float, per_second: float) -> None:
        self.seconds = seconds
        self._requests = requests
        self._started = time.perf_counter()
        self._until = self._started + seconds
        self._most = len(requests) if isinf(seconds) else inf
        self._gap = 1.0 / per_second
        self._number = 0

    def next(self) -> tuple[bytes, float] | None:
        due = self._started + self._number * self._gap
        if self._number >= self._most or max(due, time.perf_counter()) >= self._until:
            return None
        self._number += 1
        return self._requests[(self._number - 1) % len(self._requests)], due


class _Connection(asyncio.Protocol):
    """One connection: it sends a request, waits for the whole reply, and sends the next."""

    transport: asyncio.Transport

    def __init__(self, turns: _Turns, mark: bytes) -> None:
        self._turns = turns
        self._mark = mark
        self._parts = b""
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.failed = self.marked = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._follow()

    def data_received(self, data: bytes) -> None:
        self._parts += data
        head, found, body = self._parts.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self.latencies.append(time.perf_counter() - self._sent_at)
        self.failed += not head.startswith(b"HTTP/1.1 200")
        self.marked += bool(self._mark) and self._mark in body
        self._parts = b""
        self._follow()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(ConnectionError("the service closed the connection"))

    def _follow(self) -> None:
        following = self._turns.next()
        if following is None:
            if not self.ended.done():
                self.ended.set_result(None)
            return
        content, due = following
        wait = due - time.perf_counter()
        if wait > 0.0:
            asyncio.get_running_loop().call_later(wait, self._send, content)
        else:
            self._send(content)

    def _send(self, content: bytes) -> None:
        self._sent_at = time.perf_counter()
        self.transport.write(content)


def _length(head: bytes) -> int:
    """Return the length of the body that a reply's head tells."""
    lower = head.lower()
    start = lower.index(b"content-length:") + len(b"content-length:")
    return int(lower[start:].partition(b"\r\n")[0])
