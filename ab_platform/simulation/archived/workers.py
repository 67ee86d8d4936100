"""Make shards in several processes at once, and tell how far they are."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized

import pyarrow as pa

from ab_platform.errors import PlatformError
from ab_platform.simulation.archived.shard import DayFiles, Shard, make

SECONDS_BETWEEN_LOOKS = 0.5


@dataclass
class _Worker:
    """What a worker process knows.

    Attributes:
        done: users that all workers have done.
    """

    done: Synchronized[int]

    def advance(self, users: int) -> None:
        """Count users that are done."""
        with self.done.get_lock():
            self.done.value += users


_worker: list[_Worker] = []
"""Of this process, once it has begun: what it shares with the others comes to it in no other way."""


def make_all(
    shards: Sequence[Shard], *, processes: int, progress: Callable[[int], None]
) -> Iterator[tuple[int, DayFiles]]:
    """Make shards; give the number and the files of each as it is finished.

    Args:
        shards: which.
        processes: at once; 1 is this one.
        progress: called now and then with how many users are done.

    Raises:
        PlatformError: for a process that died.
    """
    if processes == 1:
        yield from _one_by_one(shards, progress)
        return
    done = get_context("spawn").Value("q", 0)
    with _pool(processes, done) as pool:
        left = {pool.submit(_make, shard): shard for shard in shards}
        while left:
            finished, _ = wait(left, timeout=SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
            progress(done.value)
            for future in finished:
                yield left.pop(future).number, _result(future)


def _one_by_one(shards: Sequence[Shard], progress: Callable[[int], None]) -> Iterator[tuple[int, DayFiles]]:
    done = 0

    def advance(users: int) -> None:
        nonlocal done
        done += users
        progress(done)

    for shard in shards:
        yield shard.number, make(shard, advance=advance)


@contextmanager
def _pool(processes: int, done: Synchronized[int]) -> Iterator[ProcessPoolExecutor]:
    # Not forked: a forked child may inherit locks that the parent's threads held.
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(done, os.getpid())
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(done: Synchronized[int], parent: int) -> None:
    """Begin a worker, which ends with the process that started it: nobody else would tell it to."""
    _worker[:] = [_Worker(done)]
    # Each process has a core of its own.
    pa.set_cpu_count(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _make(shard: Shard) -> DayFiles:
    return make(shard, advance=_worker[0].advance)


def _result(future: Future[DayFiles]) -> DayFiles:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise PlatformError(
            "a process that made a part of the archive died, perhaps for want of memory; what is finished stands: run "
            "the same again, with fewer --processes if memory was short"
        ) from error
