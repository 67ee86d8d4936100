"""A week of visits by real users with held-back interactions, through the real serving path.

Visits are replayed, not live: a user likes what was held back from training, and the viewer model turns slates into
events. Each user lives the week once under every arm with the same random stream; only the assigned arm's events are
recorded, and what happened under every arm is kept as potential outcomes, so that the true lift is known.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np

from ab_platform.errors import ExperimentError
from ab_platform.events import AnyEvent, Click, Surface, Watch, event_id
from ab_platform.lineage import Change
from ab_platform.results import Outcome
from ab_platform.serving import Histories, Request, Server, Slate, impressions, place
from ab_platform.storage.store import Store
from ab_platform.viewer import Session, Viewer, week

USERS_AT_ONCE = 256

Visits = Generator[Request, Slate, None]


@dataclass(frozen=True)
class Population:
    """The users of a replay.

    Attributes:
        histories: what each user has seen before the first visit, oldest first.
        likes: what each user would still like to watch.
    """

    histories: Mapping[str, Sequence[str]]
    likes: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Replayed:
    """What a replay did: users in the experiment, those replayed before, and events that were new."""

    users: int
    users_before: int
    events_stored: int


def replay(
    store: Store,
    server: Server,
    population: Population,
    *,
    viewer: Viewer,
    seed: int,
    at: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> Replayed:
    """Replay the experiment's planned days; users who were replayed already are left alone.

    Users go through in fixed groups, each group in one transaction, so a replay that was cut short goes on where it
    stopped and ends the same.

    Args:
        store: takes events and potential outcomes.
        server: serves the experiment.
        population: who visits.
        viewer: how they behave.
        seed: of every user's random stream.
        at: now, for the change log.
        progress: called with users done and users in all.

    Raises:
        ExperimentError: where the experiment was replayed with another viewer or seed.
    """
    _note(store, server, viewer, seed, at)
    users = [user for user in sorted(population.histories) if place(server.launch, user).arm_index is not None]
    before = store.replayed_users(server.launch.experiment.key)
    stored = 0
    for done, group in _groups(users):
        if not before.issuperset(group):
            events, outcomes = _live_through(server, population, group, viewer=viewer, seed=seed)
            stored += store.record(events, outcomes).stored
        if progress:
            progress(done, len(users))
    return Replayed(users=len(users), users_before=len(before.intersection(users)), events_stored=stored)


def _note(store: Store, server: Server, viewer: Viewer, seed: int, at: datetime) -> None:
    """Write the replay's viewer and seed to the change log, once, so that one experiment has one truth."""
    key = server.launch.experiment.key
    after = {"viewer": asdict(viewer), "seed": seed}
    earlier = [dict(change.after) for change in store.changes(key) if change.action == "replay"]
    if earlier and earlier[0] != after:
        raise ExperimentError(
            f"{key} was replayed with {earlier[0]}; now asked for {after}; "
            "repeat it with the same viewer and seed, or launch under a new key"
        )
    if not earlier:
        store.note(Change(key, at, "replay", None, after, "visits are replayed, not live"))


def _groups(users: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    for start in range(0, len(users), USERS_AT_ONCE):
        group = users[start : start + USERS_AT_ONCE]
        yield start + len(group), group


def _live_through(
    server: Server, population: Population, users: Sequence[str], *, viewer: Viewer, seed: int
) -> tuple[list[AnyEvent], list[Outcome]]:
    """Take a group of users through the days under every arm; return the assigned arms' events and all outcomes."""
    experiment = server.launch.experiment
    events: list[AnyEvent] = []
    outcomes: list[Outcome] = []
    for index, arm in enumerate(experiment.arms):
        for session in _sessions(server, arm.name, population, users, viewer=viewer, seed=seed):
            outcomes += _outcomes(session, experiment.key, arm.name, experiment.surfaces)
            if place(server.launch, session.user_id).arm_index == index:
                events += _events(session)
    return events, outcomes


def _sessions(
    server: Server, arm: str, population: Population, users: Sequence[str], *, viewer: Viewer, seed: int
) -> list[Session]:
    """Run all users' visits under one arm, one request of each user at a time, so that slates are made in batches."""
    histories = Histories({user: list(population.histories[user]) for user in users})
    sessions = [Session(user, set(population.likes.get(user, ())), histories) for user in users]
    starts_at, days = server.launch.starts_at, server.launch.experiment.days
    visits = [
        week(session, viewer, starts_at=starts_at, days=days, rng=_stream(seed, session.user_id))
        for session in sessions
    ]
    waiting = [(visit, request) for visit in visits if (request := next(visit, None)) is not None]
    while waiting:
        slates = server.slates(arm, [request for _, request in waiting], histories)
        replies = [(visit, _reply(visit, slate)) for (visit, _), slate in zip(waiting, slates, strict=True)]
        waiting = [(visit, request) for visit, request in replies if request is not None]
    return sessions


def _reply(visit: Visits, slate: Slate) -> Request | None:
    """Hand a visit its slate; return its next request, or None when the days are over."""
    try:
        return visit.send(slate)
    except StopIteration:
        return None


def _stream(seed: int, user_id: str) -> np.random.Generator:
    """Return the user's own random stream, the same whatever the order of users and whatever the arm."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=16).digest()
    return np.random.default_rng([seed, int.from_bytes(digest)])


def _events(session: Session) -> list[AnyEvent]:
    """Turn what was shown and played into events."""
    shown = {(event.slate_id, event.position): event for slate in session.slates for event in impressions(slate)}
    events: list[AnyEvent] = list(shown.values())
    for play in session.plays:
        shown_at = shown.get((play.slate_id, play.position))
        if shown_at is None:  # a surface that the experiment leaves alone
            continue
        common = (shown_at.experiment, shown_at.user_id, shown_at.arm, shown_at.surface, play.title_id, play.at)
        key = str(shown_at.event_id)
        events.append(Click(event_id(play.at, f"{key}/click"), *common, shown_at.event_id))
        events.append(Watch(event_id(play.at, f"{key}/watch"), *common, shown_at.event_id, play.watch_seconds))
    return events


def _outcomes(session: Session, experiment: str, arm: str, surfaces: Iterable[Surface]) -> list[Outcome]:
    """Total what happened, one row a surface, zeros where nothing did."""
    surface_of = {slate.slate_id: slate.request.surface for slate in session.slates}
    shown, clicks, seconds = Counter[Surface](), Counter[Surface](), defaultdict[Surface, float](float)
    for slate in session.slates:
        shown[slate.request.surface] += len(slate.title_ids)
    for play in session.plays:
        clicks[surface_of[play.slate_id]] += 1
        seconds[surface_of[play.slate_id]] += play.watch_seconds
    return [
        Outcome(experiment, session.user_id, arm, surface, shown[surface], clicks[surface], round(seconds[surface], 3))
        for surface in surfaces
    ]
