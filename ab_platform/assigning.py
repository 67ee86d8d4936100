"""Write down who is in an experiment and with which arm, and hold who was exposed against it.

The arm of a user is decided by the salts and the user's id alone; the rows are a copy, for reports and joins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ab_platform.assignment import buckets
from ab_platform.lineage import Launch
from ab_platform.storage.store import Placed, Store, Users

USERS_AT_ONCE = 100_000
"""Users of one transaction."""

MOST_EXAMPLES = 5


@dataclass(frozen=True)
class Misassigned:
    """A user who was exposed to an arm that is not theirs.

    Attributes:
        user_id: the user.
        exposed: the arm of the exposure.
        assigned: the arm that the salts give; None for one who is not in the experiment at any traffic.
    """

    user_id: str
    exposed: str
    assigned: str | None


@dataclass(frozen=True)
class Audit:
    """Exposures held against the arm that the salts give, which no traffic changes.

    Attributes:
        exposed: users who were exposed, to each arm, in the order of the experiment; a user of several counts in each.
        wrong: those of them whom the salts give another arm, or none.
        examples: a few of the wrong ones.
    """

    exposed: Mapping[str, int]
    wrong: Mapping[str, int]
    examples: tuple[Misassigned, ...]


@dataclass(frozen=True)
class Assigned:
    """What writing down the assignments of an experiment found and did.

    Attributes:
        experiment: its key.
        traffic: share of its users who are in.
        users: registered users, in or not.
        arms: users who are in, by arm, in the order of the experiment.
        changed: rows that are new, or of another arm than before.
        removed: rows of users who are not in any more.
        audit: of the exposures.
    """

    experiment: str
    traffic: float
    users: int
    arms: Mapping[str, int]
    changed: int
    removed: int
    audit: Audit


def assign_users(store: Store, key: str, *, at: datetime) -> Assigned:
    """Write down every registered user who is in an experiment under the traffic of now, and audit its exposures.

    Registered is who has an interaction or an attribute in the experiment's data set. A repetition changes nothing; a
    user who was in already keeps the row, with the moment and the traffic that let them in.

    Args:
        store: holds users, exposures and assignments.
        key: of the experiment.
        at: now.

    Raises:
        NotFoundError: for an unknown key.
    """
    launched = store.experiment(key)
    users = changed = removed = 0
    arms = dict.fromkeys((arm.name for arm in launched.experiment.arms), 0)
    for block, ids in _blocks(store, launched):
        placed = _placed(launched, ids)
        written = store.write_assignments(block, placed, traffic=launched.traffic, at=at)
        users, changed, removed = users + len(ids), changed + written.changed, removed + written.removed
        for arm, count in Counter(arm for _, arm, _, _ in placed).items():
            arms[arm] += count
    if store.experiment(key).traffic != launched.traffic:
        # Ramped meanwhile: blocks before were placed under one traffic, those after would be under another.
        return assign_users(store, key, at=at)
    return Assigned(key, launched.traffic, users, arms, changed, removed, audit(store, launched))


def audit(store: Store, launched: Launch) -> Audit:
    """Hold the arm of every exposure against the salts."""
    names = [arm.name for arm in launched.experiment.arms]
    exposed, wrong = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    examples: list[Misassigned] = []
    for seen in store.exposed_arms(launched.experiment.key):
        places = _places(launched, [user for user, _ in seen], traffic=1.0)
        for (user, arm), place in zip(seen, places, strict=True):
            exposed[arm] += 1
            assigned = None if place < 0 else names[place]
            if assigned != arm:
                wrong[arm] += 1
                examples.append(Misassigned(user, arm, assigned))
        del examples[MOST_EXAMPLES:]
    return Audit(exposed, wrong, tuple(examples))


def _blocks(store: Store, launched: Launch) -> Iterator[tuple[Users, list[str]]]:
    """Go through the registered users; the last block reaches beyond them, where users may be who are no more."""
    key, last = launched.experiment.key, None
    while True:
        ids = store.users_after(launched.experiment.data.dataset, last, count=USERS_AT_ONCE)
        whole = len(ids) == USERS_AT_ONCE
        yield Users(key, last, ids[-1] if whole else None), ids
        if not whole:
            return
        last = ids[-1]


def _placed(launched: Launch, ids: Sequence[str]) -> list[Placed]:
    """Return the users who are in, with arm and buckets."""
    experiment = launched.experiment
    places = _places(launched, ids, traffic=launched.traffic)
    inside = [(user, place) for user, place in zip(ids, places, strict=True) if place >= 0]
    users = [user for user, _ in inside]
    arm_buckets, layer_buckets = (buckets(salt, users).tolist() for salt in (experiment.salt, experiment.layer))
    return [
        (user, experiment.arms[place].name, arm_bucket, layer_bucket)
        for (user, place), arm_bucket, layer_bucket in zip(inside, arm_buckets, layer_buckets, strict=True)
    ]


def _places(launched: Launch, ids: Sequence[str], *, traffic: float) -> list[int]:
    """Return the place of each user's arm, -1 when in no arm."""
    experiment = launched.experiment
    places: list[int] = experiment.place_all(ids, experiment.ranges(traffic)).tolist()
    return places
