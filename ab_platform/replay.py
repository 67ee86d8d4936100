"""A week of visits by real users with held-back interactions, through the real serving path.

Visits are replayed, not live: a user likes what was held back from training, and the viewer model turns slates into
events. Each user lives the week once under every arm with the same random stream; only the assigned arm's events are
recorded, and what happened under every arm is kept as potential outcomes, so that the true lift is known.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, time

import numpy as np

from ab_platform.errors import ExperimentError
from ab_platform.events import AnyEvent, Click, Surface, Watch, event_id
from ab_platform.lineage import Change, Launch, phases, replayed_until
from ab_platform.results import Outcome
from ab_platform.serving import Histories, Request, Server, Slate, impressions, place
from ab_platform.storage.store import Population as Exposed
from ab_platform.storage.store import Store
from ab_platform.viewer import Session, Viewer, week

USERS_AT_ONCE = 256
REPLAYED = "visits are replayed, not live"

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
    until: datetime | None = None,
    reason: str = REPLAYED,
    progress: Callable[[int, int], None] | None = None,
) -> Replayed:
    """Replay the experiment's planned days, or those up to a moment.

    Users go through in fixed groups, each group in one transaction, so a replay that was cut short goes on where it
    stopped and ends the same. A group always lives through all its days; what falls outside the part is left out, so
    that parts add up to the whole, to the digit. A user whom a ramp lets in later makes no visit before.

    Args:
        store: takes events and potential outcomes.
        server: serves the experiment.
        population: who visits.
        viewer: how they behave.
        seed: of every user's random stream.
        at: now, for the change log.
        until: end, exclusive, of what is recorded; the planned end where None. What users do under every arm is known,
            and stored, when all of it is recorded at once.
        reason: what the change log says of it.
        progress: called with users done and users in all.

    Raises:
        ExperimentError: where the experiment was replayed with another viewer or seed, has visits of its own, or its
            raw events were deleted.
    """
    launch = server.launch
    note_settings(store, launch, {"viewer": asdict(viewer), "seed": seed}, at, reason)
    end = until or launch.ends_at
    whole = end >= launch.ends_at
    entries = entering(launch, store.changes(launch.experiment.key), sorted(population.histories))
    users = sum(map(len, entries.values()))
    before = store.replayed_users(launch.experiment.key)
    stored = 0
    for done, enters_at, group in _groups(entries):
        if enters_at < end and not before.issuperset(group):
            lived = _live_through(server, population, group, _Life(viewer, seed, enters_at))
            events = [event for event in lived.events if event.at < end]
            recorded = store.record(events, lived.outcomes if whole else ())
            if recorded.too_late:
                raise ExperimentError(
                    f"{launch.experiment.key} cannot be replayed: its raw events were deleted, and no more are taken; "
                    "launch it under a new key"
                )
            stored += recorded.stored
        if progress:
            progress(done, users)
    note_reached(store, launch.experiment.key, end, at)
    replayed = sum(len(before.intersection(group)) for group in entries.values())
    return Replayed(users=users, users_before=replayed, events_stored=stored)


def entering(launch: Launch, changes: Sequence[Change], users: Sequence[str]) -> dict[datetime, list[str]]:
    """Return the users who are in by the moment from which they are, in their order."""
    left = list(users)
    found = {}
    for phase in phases(launch, changes):
        ramped = replace(launch, traffic=phase.traffic)
        inside = {user for user in left if place(ramped, user).arm_index is not None}
        enters_at = max(launch.starts_at, datetime.combine(phase.since, time(), UTC))
        found[enters_at] = [user for user in left if user in inside]
        left = [user for user in left if user not in inside]
    return found


def note_settings(store: Store, launch: Launch, settings: Mapping[str, object], at: datetime, reason: str) -> None:
    """Write the replay's viewer and seed to the change log, once, so that one experiment has one truth."""
    key = launch.experiment.key
    earlier = [dict(change.after) for change in store.changes(key) if change.action == "replay"]
    if earlier and earlier[0] != settings:
        raise ExperimentError(
            f"{key} was replayed with {earlier[0]}; now asked for {settings}; "
            "repeat it with the same viewer and seed, or launch under a new key"
        )
    if not earlier:
        _require_no_visits(store, launch)
        store.note(Change(key, at, "replay", None, settings, reason))
        note_reached(store, key, launch.starts_at, at)


def _require_no_visits(store: Store, launch: Launch) -> None:
    """Refuse to mix made-up visits into real ones."""
    experiment = launch.experiment
    everyone = Exposed(experiment.key, launch.ends_at.astimezone(UTC).date(), experiment.data.dataset)
    users = sum(each.users for each in store.exposed_by_day(everyone))
    if users:
        raise ExperimentError(
            f"{experiment.key} has {users:,} users with visits of its own; a replay would mix made-up ones into them: "
            "launch it under a new key"
        )


def note_reached(store: Store, key: str, until: datetime, at: datetime) -> None:
    """Write to the change log how far the visits are replayed, unless they were before."""
    before = replayed_until(store.changes(key))
    if before is None or before < until:
        store.note(Change(key, at, "replay", None, {"until": until.isoformat()}, None))


def _groups(entries: Mapping[datetime, Sequence[str]]) -> Iterator[tuple[int, datetime, Sequence[str]]]:
    """Divide the users who enter together into groups; yield users done after it, when they enter, and the group."""
    done = 0
    for enters_at, users in entries.items():
        for start in range(0, len(users), USERS_AT_ONCE):
            group = users[start : start + USERS_AT_ONCE]
            done += len(group)
            yield done, enters_at, group


@dataclass(frozen=True)
class _Life:
    """How a group lives: by which viewer, with which seed, and from when on."""

    viewer: Viewer
    seed: int
    enters_at: datetime


@dataclass(frozen=True)
class _Lived:
    """What a group did: events under the assigned arms, and outcomes under every arm."""

    events: list[AnyEvent]
    outcomes: list[Outcome]


def _live_through(server: Server, population: Population, users: Sequence[str], life: _Life) -> _Lived:
    """Take a group of users through the days under every arm."""
    experiment = server.launch.experiment
    everyone = replace(server.launch, traffic=1.0)  # who is in has the same arm at any traffic
    lived = _Lived([], [])
    for index, arm in enumerate(experiment.arms):
        for session in _sessions(server, arm.name, population, users, life):
            lived.outcomes.extend(_outcomes(session, experiment.key, arm.name, experiment.surfaces))
            if place(everyone, session.user_id).arm_index == index:
                lived.events.extend(_events(session))
    return lived


def _sessions(server: Server, arm: str, population: Population, users: Sequence[str], life: _Life) -> list[Session]:
    """Run all users' visits under one arm, one request of each user at a time, so that slates are made in batches."""
    histories = Histories({user: list(population.histories[user]) for user in users})
    sessions = [Session(user, set(population.likes.get(user, ())), histories) for user in users]
    launch = server.launch
    visits = [
        week(
            session,
            life.viewer,
            starts_at=launch.starts_at,
            days=launch.experiment.days,
            enters_at=life.enters_at,
            rng=stream(life.seed, session.user_id),
        )
        for session in sessions
    ]
    waiting = [(visit, request) for visit in visits if (request := next(visit, None)) is not None]
    while waiting:
        slates = server.slates(arm, [request for _, request in waiting], histories)
        replies = [(visit, reply(visit, slate)) for (visit, _), slate in zip(waiting, slates, strict=True)]
        waiting = [(visit, request) for visit, request in replies if request is not None]
    return sessions


def reply(visit: Visits, slate: Slate) -> Request | None:
    """Hand a visit its slate; return its next request, or None when the days are over."""
    try:
        return visit.send(slate)
    except StopIteration:
        return None


def stream(seed: int, user_id: str) -> np.random.Generator:
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
