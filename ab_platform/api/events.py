"""Events as they travel -> events as they are kept, and what became of each."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from ab_platform.access import Token
from ab_platform.api import sent, wire
from ab_platform.events import Click, Exposure, Impression, Watch, event_id, moment_of
from ab_platform.service.codec import Item
from ab_platform.service.recording import Kept
from ab_platform.service.rules import Code, Refusal, of_its_time
from ab_platform.service.worker import Worker

OF_THE_ROSTER: frozenset[Code] = frozenset({"unknown_experiment", "future"})
"""Refusals that an experiment may be the cause of which was launched, or began to be replayed, a moment ago."""


async def kept(worker: Worker, asked: wire.EventsSent, *, token: Token | None, at: datetime) -> list[wire.EventKept]:
    """Keep the events that the rules allow; say what became of each item, in the order sent.

    Raises:
        SpoolFullError: where they can be kept nowhere; none of them was taken.
    """
    judged = _judged(worker, asked, token=token, at=at)
    if any(isinstance(each, Refusal) and each.code in OF_THE_ROSTER for each in judged) and await worker.look_again(at):
        judged = _judged(worker, asked, token=token, at=at)
    taken = [each for each in judged if not isinstance(each, Refusal)]
    statuses = iter(await worker.record(taken) if taken else ())
    answers = (_rejected(each) if isinstance(each, Refusal) else _answer(each, next(statuses)) for each in judged)
    unfit = asked.unfit
    if not unfit:
        return list(answers)
    return [_misshapen(unfit[place]) if place in unfit else next(answers) for place in range(len(judged) + len(unfit))]


def _judged(worker: Worker, asked: wire.EventsSent, *, token: Token | None, at: datetime) -> list[Item | Refusal]:
    """Make the events that the rules allow; say why not of the others."""
    rules, pseudonym = worker.rules(token=token, at=at), worker.pseudonyms.of
    judged: list[Item | Refusal] = []
    last = at
    for each in asked.fit:
        user_id = pseudonym(each.user_id)
        arm = rules.arm_of(each, user_id)
        if isinstance(arm, Refusal):
            judged.append(arm)
            continue
        # One object for the moment of a whole slate: what is worked out of it once need not be worked out again.
        last = last if each.at == last else each.at.astimezone(UTC)
        judged.append(_event(each, user_id, arm, last))
    return judged


def _event(told: sent.Event, user_id: str, arm: str, at: datetime) -> Item:
    """Make the event; without an id, the id is made from the content, so that a retry makes the same."""
    match told:
        case sent.Impression():
            made = told.event_id or event_id(_moment(told), f"{told.request_id}/{told.position}")
            own = (told.request_id, told.position, told.served_by or arm, told.latency_ms)
            return Impression(made, told.experiment, user_id, arm, told.surface, told.title_id, at, *own)
        case sent.Click():
            made = told.event_id or event_id(at, f"{told.impression_id}/click")
            return Click(made, told.experiment, user_id, arm, told.surface, told.title_id, at, told.impression_id)
        case sent.Watch():
            made = told.event_id or event_id(at, f"{told.impression_id}/watch")
            watched = (told.impression_id, told.watch_seconds)
            return Watch(made, told.experiment, user_id, arm, told.surface, told.title_id, at, *watched)
        case sent.Exposure():
            return Exposure(told.experiment, user_id, arm, told.surface, at)


def _moment(told: sent.Impression) -> datetime:
    """Return the moment of an impression's slate, which the slate's id tells; its own where that tells another day."""
    return moment_of(told.request_id) if of_its_time(told.request_id, told.at) else told.at


def _answer(event: Item, status: Kept) -> wire.EventKept:
    made = _id_of(event)
    match status:
        case "stored" | "duplicate" | "spooled":
            return wire.EventKept(status, made)
        case "too_late":
            return wire.EventKept(
                "rejected", made, "too_late", "the experiment's raw events were deleted; send no more"
            )
        case "erased":
            return wire.EventKept("rejected", made, "erased", "the user was erased since; what was before is not kept")
        case "refused":
            return wire.EventKept(
                "rejected", made, "unknown_experiment", "the database knows no such experiment or arm"
            )


def _id_of(event: Item) -> UUID | None:
    return None if isinstance(event, Exposure) else event.event_id


def _rejected(refusal: Refusal) -> wire.EventKept:
    return wire.EventKept("rejected", None, refusal.code, refusal.reason)


def _misshapen(reason: str) -> wire.EventKept:
    return wire.EventKept("rejected", None, "invalid", reason)
