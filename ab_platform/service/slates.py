"""Slates of one worker: one thread scores, requests that wait meanwhile go together, and popularity is never late."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Literal

from ab_platform.serving import Request, Server, Slate

logger = logging.getLogger(__name__)

MOST_TOGETHER = 32
"""Requests of one call, at most."""

MOST_WAITING = 256
"""Requests that wait, at most: those behind would be late anyway."""

LOG_SECONDS = 60.0
"""How often one arm's failure is a line of the log."""

Reason = Literal["arm", "deadline", "failed"]
"""What made a slate: the arm; or popularity, since the arm was not done in time, or failed."""


@dataclass(frozen=True, slots=True)
class Made:
    """A slate, and how it came about.

    Attributes:
        slate: to be shown.
        reason: what made it.
        seconds: it took.
    """

    slate: Slate
    reason: Reason
    seconds: float


_Key = tuple[Server, str | None]
"""What goes together: one server, and one of its arms."""

_Answer = tuple[Slate, Reason]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A request that waits for its arm.

    Attributes:
        key: what it goes together with.
        request: what is asked for.
        history: of the user.
        answer: None where it is late; done where nobody waits any more.
        loop: of the one who waits.
    """

    key: _Key
    request: Request
    history: Sequence[str]
    answer: asyncio.Future[_Answer | None]
    loop: asyncio.AbstractEventLoop


class Slates:
    """Makes slates by a thread of its own, and keeps the deadline.

    Nothing waits for company: the thread takes what is there, of the servers and arms in turn.

    Args:
        deadline_ms: after which popularity serves; what the arm makes later is thrown away.
        most_waiting: requests that may wait; popularity serves those beyond at once.
        most_together: requests of one call.
        clock: seconds that only grow.

    Attributes:
        failures: slates that popularity served because an arm failed.
        late: slates that popularity served because an arm was not done in time, or too many waited.
    """

    def __init__(
        self,
        *,
        deadline_ms: float = 100.0,
        most_waiting: int = MOST_WAITING,
        most_together: int = MOST_TOGETHER,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._deadline_seconds = deadline_ms / 1000.0
        self._most_waiting = most_waiting
        self._most_together = most_together
        self._clock = clock
        self._arriving: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._in_turn: OrderedDict[_Key, deque[_Waiting]] = OrderedDict()
        self._open = False
        self._waiting = 0
        self._log_again_at: dict[tuple[str, str | None], float] = {}
        self._thread = Thread(target=self._run, name="slates", daemon=True)
        self.failures = 0
        self.late = 0

    def start(self) -> None:
        """Begin to score."""
        self._open = True
        self._thread.start()

    def stop(self) -> None:
        """Make what waits, then end; popularity serves who comes later. Not for the event loop: it waits."""
        if self._open:
            self._open = False
            self._arriving.put(None)
            self._thread.join()

    async def recommend(
        self,
        server: Server,
        request: Request,
        arm: str | None,
        history: Sequence[str],
        *,
        spent_seconds: float = 0.0,
    ) -> Made:
        """Serve one user within the deadline.

        Args:
            server: of the experiment.
            request: what is asked for.
            arm: the user's, or None for users who are not in.
            history: what the user has seen.
            spent_seconds: of the deadline, before.
        """
        started = self._clock()
        left_seconds = self._deadline_seconds - spent_seconds
        if not self._open or self._waiting >= self._most_waiting or left_seconds <= 0.0:
            return self.fallback(server, request, arm, history)
        answer = await self._scored(server, request, arm, history, left_seconds=left_seconds)
        if answer is None:
            self.late += 1
            slate, reason = _stand_in(server, request, arm, history), _LATE
        else:
            slate, reason = answer
        return Made(slate, reason, self._clock() - started)

    def fallback(self, server: Server, request: Request, arm: str | None, history: Sequence[str]) -> Made:
        """Serve one user by popularity, at once, since there is no time left; arguments as in `recommend`."""
        started = self._clock()
        self.late += 1
        slate = _stand_in(server, request, arm, history)
        return Made(slate, _LATE, self._clock() - started)

    async def _scored(
        self, server: Server, request: Request, arm: str | None, history: Sequence[str], *, left_seconds: float
    ) -> _Answer | None:
        """Return what the thread makes of a request, or None at the deadline."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Answer | None] = loop.create_future()
        timer = loop.call_later(left_seconds, _give_up, answer)
        self._waiting += 1
        self._arriving.put(_Waiting((server, server.arm_on(request.surface, arm)), request, history, answer, loop))
        try:
            return await answer
        finally:
            self._waiting -= 1
            timer.cancel()

    def _run(self) -> None:
        ended = False
        while self._in_turn or not ended:
            ended = self._line_up(wait=not self._in_turn and not ended) or ended
            if self._in_turn:
                key, group = self._next_group()
                if group:
                    self._answer(key, group)

    def _line_up(self, *, wait: bool) -> bool:
        """Line up what has arrived, each behind those it goes together with; return whether the end has come."""
        try:
            arrived = self._arriving.get(block=wait)
            while arrived is not None:
                self._in_turn.setdefault(arrived.key, deque()).append(arrived)
                arrived = self._arriving.get_nowait()
        except Empty:
            return False
        return True

    def _next_group(self) -> tuple[_Key, list[_Waiting]]:
        """Take the requests of the next server and arm in turn, without those that nobody waits for any more."""
        key, line = self._in_turn.popitem(last=False)
        group: list[_Waiting] = []
        while line and len(group) < self._most_together:
            waiting = line.popleft()
            if not waiting.answer.done():
                group.append(waiting)
        if line:
            self._in_turn[key] = line
        return key, group

    def _answer(self, key: _Key, group: Sequence[_Waiting]) -> None:
        answers: Sequence[_Answer | Exception]
        try:
            answers = self._made(key, group)
        except Exception as error:  # popularity fails too: whoever asked is told
            answers = [error] * len(group)
        for loop in {waiting.loop for waiting in group}:
            told = [(each.answer, made) for each, made in zip(group, answers, strict=True) if each.loop is loop]
            with suppress(RuntimeError):  # a loop that is closed: nobody waits there
                loop.call_soon_threadsafe(_tell, told)

    def _made(self, key: _Key, group: Sequence[_Waiting]) -> list[_Answer]:
        """Return the arm's slates, or popularity's where the arm fails."""
        server, arm = key
        try:
            slates = server.scored(arm, [each.request for each in group], [each.history for each in group])
            return [(slate, "arm") for slate in slates]
        except Exception as error:
            self._note_failure(server, arm, error, requests=len(group))
            return [(server.stand_in(arm, each.request, each.history), "failed") for each in group]

    def _note_failure(self, server: Server, arm: str | None, error: Exception, *, requests: int) -> None:
        """Count a failure, and log it unless the same arm's was a moment ago."""
        self.failures += requests
        experiment = server.launch.experiment
        failed = (experiment.key, arm or experiment.control.name)
        if self._clock() >= self._log_again_at.get(failed, -inf):
            self._log_again_at[failed] = self._clock() + LOG_SECONDS
            logger.error("arm %s of %s failed; popularity serves", failed[1], failed[0], exc_info=error)


_LATE: Reason = "deadline"


def _stand_in(server: Server, request: Request, arm: str | None, history: Sequence[str]) -> Slate:
    return server.stand_in(server.arm_on(request.surface, arm), request, history)


def _give_up(answer: asyncio.Future[_Answer | None]) -> None:
    if not answer.done():
        answer.set_result(None)


def _tell(told: Sequence[tuple[asyncio.Future[_Answer | None], _Answer | Exception]]) -> None:
    """Answer those who still wait."""
    for answer, made in told:
        if answer.done():
            continue
        if isinstance(made, Exception):
            answer.set_exception(made)
        else:
            answer.set_result(made)
