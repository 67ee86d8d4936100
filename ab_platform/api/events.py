"""Events as they travel -> events as they are kept, and what became of each."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ab_platform.access import Token
from ab_platform.api import wire
from ab_platform.events import Click, Exposure, Impression, Watch, event_id, moment_of
from ab_platform.service.codec import Item
from ab_platform.service.recording import Kept
from ab_platform.service.rules import Code, Refusal, Told, of_its_time
from ab_platform.service.worker import Worker

OF_THE_ROSTER: frozenset[Code] = frozenset({"unknown_experiment", "future"})
"""Refusals that an experiment may be the cause of which was launched, or began to be replayed, a moment ago."""

Sent = wire.ImpressionSent | wire.ClickSent | wire.WatchSent | wire.ExposureSent


async def kept(worker: Worker, sent: wire.EventsSent, *, token: Token | None, at: datetime) -> list[wire.EventKept]:
    """Keep the events that the rules allow; say what became of each item, in the order sent.

    Raises:
        SpoolFullError: where they can be kept nowhere; none of them was taken.
    """
    judged = _judged(worker, sent, token=token, at=at)
    if any(isinstance(each, Refusal) and each.code in OF_THE_ROSTER for each in judged) and await worker.look_again(at):
        judged = _judged(worker, sent, token=token, at=at)
    taken = [each for each in judged if not isinstance(each, Refusal)]
    statuses = iter(await worker.record(taken) if taken else ())
    answers = iter(_rejected(each) if isinstance(each, Refusal) else _answer(each, next(statuses)) for each in judged)
    unfit = sent.unfit
    items = len(judged) + len(unfit)
    return [_misshapen(unfit[place]) if place in unfit else next(answers) for place in range(items)]


def _judged(worker: Worker, sent: wire.EventsSent, *, token: Token | None, at: datetime) -> list[Item | Refusal]:
    """Make the events that the rules allow; say why not of the others."""
    rules = worker.rules(token=token, at=at)
    judged: list[Item | Refusal] = []
    for each in sent.events:
        told = _told(each, worker.pseudonyms.of(each.user_id))
        arm = rules.arm_of(told)
        judged.append(arm if isinstance(arm, Refusal) else _event(each, told.user_id, arm))
    return judged


def _told(sent: Sent, user_id: str) -> Told:
    if isinstance(sent, wire.ExposureSent):
        return Told(sent.experiment, user_id, sent.surface, sent.at, sent.arm, None, None)
    return Told(sent.experiment, user_id, sent.surface, sent.at, sent.arm, sent.title_id, sent.event_id)


def _event(sent: Sent, user_id: str, arm: str) -> Item:
    """Make the event; without an id, the id is made from the content, so that a retry makes the same."""
    match sent:
        case wire.ImpressionSent():
            made = sent.event_id or event_id(_moment(sent), f"{sent.request_id}/{sent.position}")
            own = (sent.request_id, sent.position, sent.served_by or arm, sent.latency_ms)
            return Impression(made, sent.experiment, user_id, arm, sent.surface, sent.title_id, sent.at, *own)
        case wire.ClickSent():
            made = sent.event_id or event_id(sent.at, f"{sent.impression_id}/click")
            return Click(made, sent.experiment, user_id, arm, sent.surface, sent.title_id, sent.at, sent.impression_id)
        case wire.WatchSent():
            made = sent.event_id or event_id(sent.at, f"{sent.impression_id}/watch")
            watched = (sent.impression_id, sent.watch_seconds)
            return Watch(made, sent.experiment, user_id, arm, sent.surface, sent.title_id, sent.at, *watched)
        case wire.ExposureSent():
            return Exposure(sent.experiment, user_id, arm, sent.surface, sent.at)


def _moment(sent: wire.ImpressionSent) -> datetime:
    """Return the moment of an impression's slate, which the slate's id tells; its own where that tells another day."""
    return moment_of(sent.request_id) if of_its_time(sent.request_id, sent.at) else sent.at


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
