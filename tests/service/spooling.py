"""Child processes that share a spool, to be killed.

python -m tests.service.spooling write FOLDER BATCH      appends batches until it is killed; says what is acknowledged
python -m tests.service.spooling drain FOLDER AT_ONCE    drains when a line comes in; says what it was handed
python -m tests.service.spooling die FOLDER AT_ONCE      drains, and kills itself in the third batch
python -m tests.service.spooling limited FOLDER BATCH    appends 40 batches, with files of at most 100 kB
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from ab_platform.errors import SpoolFullError
from ab_platform.events import Watch, event_id
from ab_platform.service.codec import Item
from ab_platform.service.spool import Spool

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def watch(number: int) -> Watch:
    at = NOON + timedelta(milliseconds=number)
    user = f"user-{number}"
    return Watch(event_id(at, user), "e", user, "pia", "home_card", "318", at, event_id(NOON, user), 60.0)


def watches(start: int, end: int) -> list[Item]:
    return [watch(number) for number in range(start, end)]


def numbers(events: Sequence[Item]) -> list[int]:
    return [int(event.user_id.removeprefix("user-")) for event in events]


def never() -> bool:
    return False


def drained(spool: Spool, *, at_once: int = 5_000) -> list[Item]:
    handed: list[Item] = []
    spool.drain(handed.extend, at_once=at_once, stop=never)
    return handed


def said(text: str) -> set[int]:
    """Read the numbers that a child said; a line that it was killed in does not count."""
    return {int(word) for line in text.splitlines(keepends=True) if line.endswith("\n") for word in line.split()}


def write(spool: Spool, batch: int) -> None:
    for start in count(step=batch):
        spool.append(watches(start, start + batch))
        say(range(start, start + batch))


def drain(spool: Spool, at_once: int) -> None:
    def take(events: Sequence[Item]) -> None:
        say(numbers(events))
        time.sleep(0.01)

    say(["ready"])
    sys.stdin.readline()
    spool.drain(take, at_once=at_once, stop=never)


def die(spool: Spool, at_once: int) -> None:
    batches = count(1)

    def take(events: Sequence[Item]) -> None:
        say(numbers(events))
        if next(batches) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    spool.drain(take, at_once=at_once, stop=never)


def limited(spool: Spool, batch: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    for start in range(0, 40 * batch, batch):
        try:
            spool.append(watches(start, start + batch))
        except SpoolFullError:
            sys.stderr.write("full\n")
        else:
            say(range(start, start + batch))


def say(words: Sequence[object]) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def lines_of(stream: Iterator[str], enough: int) -> str:
    """Read so many lines of a child, and no more."""
    return "".join(next(stream) for _ in range(enough))


if __name__ == "__main__":
    {"write": write, "drain": drain, "die": die, "limited": limited}[sys.argv[1]](
        Spool(Path(sys.argv[2])), int(sys.argv[3])
    )
