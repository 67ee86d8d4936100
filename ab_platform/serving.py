"""Serve slates: user -> assignment -> arm -> slate, with popularity where an arm fails; and record events."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ab_platform.assignment import Placement
from ab_platform.errors import EventError
from ab_platform.events import AnyEvent, Impression, Surface, event_id
from ab_platform.lineage import Launch
from ab_platform.storage.store import Recorded, Store
from models.recommender import NO_TITLE, Recommender, top

logger = logging.getLogger(__name__)

FALLBACK = "popularity"

ROWS_AT_ONCE = 8
"""Histories that are scored at once, always so many: the rest is filled up with empty ones.

Libraries choose their way through a product by its shape, and round differently: of 20,000 users, one or two got two
titles in another order alone than in a batch. With one shape a slate depends on its own history only. With fewer rows
a batch takes longer; with more, a single request does.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """Someone opens a surface.

    Attributes:
        user_id: the user, known or new.
        surface: where.
        at: when, with a time zone.
        title_id: the title whose page it is; Movie Card needs it, Home Card has none.
    """

    user_id: str
    surface: Surface
    at: datetime
    title_id: str | None = None

    def __post_init__(self) -> None:
        """Check that a Movie Card has its title, and a Home Card none.

        Raises:
            EventError: where that is not so.
        """
        if (self.surface == "movie_card") != (self.title_id is not None):
            raise EventError(
                f"a request for {self.surface} has title {self.title_id!r}; movie_card needs one, home_card takes none"
            )


@dataclass(frozen=True, slots=True)
class Slate:
    """The ordered list that was served.

    Attributes:
        slate_id: the same for a retry of the same request.
        experiment: key of the experiment.
        request: what it answers.
        arm: the user's assigned arm, or None for users who are not in the experiment.
        served_by: the arm's name, or `popularity` when the arm failed.
        title_ids: best first.
    """

    slate_id: UUID
    experiment: str
    request: Request
    arm: str | None
    served_by: str
    title_ids: tuple[str, ...]


@dataclass
class Histories:
    """What each user has seen, oldest first; what is watched is added as it happens."""

    seen: dict[str, list[str]] = field(default_factory=dict)

    def of(self, user_id: str) -> Sequence[str]:
        """Return a user's titles; none for a new user."""
        return self.seen.get(user_id, ())

    def add(self, user_id: str, title_id: str) -> None:
        """Add a title that was just watched."""
        self.seen.setdefault(user_id, []).append(title_id)


class Vocabulary:
    """A recommender's items by title id: titles it never saw are left out of what it is shown."""

    def __init__(self, items: Sequence[str]) -> None:
        self.items = tuple(items)
        self._index = {item: index for index, item in enumerate(items)}

    def matrix(self, rows: Iterable[Sequence[str]]) -> csr_matrix:
        """Return histories as ones, (rows, items)."""
        known = [sorted({self._index[title] for title in row if title in self._index}) for row in rows]
        indptr = np.cumsum([0, *(len(row) for row in known)])
        indices = np.fromiter((index for row in known for index in row), dtype=np.int32, count=int(indptr[-1]))
        return csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(len(known), len(self.items)))

    def titles(self, ranked: NDArray[np.int64]) -> list[tuple[str, ...]]:
        """Return the title ids of ranked item indices, (rows, k); the places where none is left are dropped."""
        return [tuple(self.items[index] for index in row if index != NO_TITLE) for row in ranked.tolist()]


class Server:
    """Serves one launched experiment from memory.

    Args:
        launch: the experiment and its state.
        recommenders: each arm's recommender, by arm name.
        fallback: answers when an arm fails; popularity, which scores every history alike.
        histories: what users have seen.
        store: takes the events; None serves without recording.
    """

    def __init__(
        self,
        launch: Launch,
        recommenders: Mapping[str, Recommender],
        *,
        fallback: Recommender,
        histories: Histories,
        store: Store | None = None,
    ) -> None:
        self.launch = launch
        self.histories = histories
        self._recommenders = dict(recommenders)
        self._fallback = fallback
        self._store = store
        everyone = [*self._recommenders.values(), fallback]
        self._vocabularies = {id(each): Vocabulary(each.items) for each in everyone}

    @property
    def known_titles(self) -> frozenset[str]:
        """Return every title that an arm may serve."""
        return frozenset().union(*(each.items for each in self._vocabularies.values()))

    @property
    def fallback(self) -> Recommender:
        """Return what answers when an arm fails."""
        return self._fallback

    def placement(self, user_id: str) -> Placement:
        """Return where the user stands: bucket, layer slice, arm."""
        return place(self.launch, user_id)

    def recommend(self, user_id: str, surface: Surface, *, at: datetime, title_id: str | None = None) -> Slate:
        """Serve one user: the slate of the assigned arm, or of the control for users who are not in."""
        experiment = self.launch.experiment
        index = self.placement(user_id).arm_index
        arm = None if index is None else experiment.arms[index].name
        [slate] = self.slates(arm, [Request(user_id, surface, at, title_id)])
        return slate

    def slates(self, arm: str | None, requests: Sequence[Request], histories: Histories | None = None) -> list[Slate]:
        """Serve many users of one arm at once.

        Args:
            arm: the arm's name, or None for users who are not in. They get the control and make no events, as does
                everyone on a surface that the experiment leaves alone.
            requests: what is asked for.
            histories: to serve from instead of the server's own.

        Returns:
            One slate a request, in their order. Seen titles never come back, nor the title of a Movie Card. Each is
            what it would be alone.
        """
        known = histories or self.histories
        arms = [self.arm_on(request.surface, arm) for request in requests]
        slates: dict[int, Slate] = {}
        for each in dict.fromkeys(arms):
            places = [place for place, assigned in enumerate(arms) if assigned == each]
            asked = [requests[place] for place in places]
            slates |= zip(places, self._served(each, asked, [known.of(one.user_id) for one in asked]), strict=True)
        return [slates[place] for place in range(len(requests))]

    def arm_on(self, surface: Surface, arm: str | None) -> str | None:
        """Return the arm whose slate a user of an arm gets on a surface; None where the experiment leaves it alone."""
        return arm if surface in self.launch.experiment.surfaces else None

    def scored(self, arm: str | None, requests: Sequence[Request], histories: Sequence[Sequence[str]]) -> list[Slate]:
        """Serve users by their arm, or not at all: whatever makes the arm fail is raised.

        Args:
            arm: as `arm_on` gives it, the same for all requests.
            requests: what is asked for.
            histories: one a request.

        Returns:
            One slate a request, in their order.
        """
        name = arm or self.launch.experiment.control.name
        shown = [_shown(request, history) for request, history in zip(requests, histories, strict=True)]
        ranked = self._ranked(self._recommenders[name], shown)
        return [
            self._slate(request, arm, served_by=name, title_ids=titles)
            for request, titles in zip(requests, ranked, strict=True)
        ]

    def stand_in(self, arm: str | None, request: Request, history: Sequence[str]) -> Slate:
        """Serve a user by popularity, without scoring; arguments as in `scored`, of one request."""
        shown = set(_shown(request, history))
        unseen = (title for title in self._most_popular if title not in shown)
        titles = tuple(islice(unseen, self.launch.experiment.slate_size))
        return self._slate(request, arm, served_by=FALLBACK, title_ids=titles)

    def record(self, events: Sequence[AnyEvent]) -> Recorded:
        """Store events; the same event twice is stored once.

        Raises:
            EventError: where the server was made without a store.
        """
        if self._store is None:
            raise EventError(f"{len(events)} events have nowhere to go; give the server a store")
        return self._store.record(events)

    def _served(self, arm: str | None, requests: Sequence[Request], histories: Sequence[Sequence[str]]) -> list[Slate]:
        """Return the arm's slates, or popularity's where the arm fails."""
        try:
            return self.scored(arm, requests, histories)
        except Exception:
            name = arm or self.launch.experiment.control.name
            logger.exception("arm %s failed; popularity serves %d requests", name, len(requests))
            return [self.stand_in(arm, *each) for each in zip(requests, histories, strict=True)]

    @cached_property
    def _most_popular(self) -> tuple[str, ...]:
        """Return all titles of the fallback, best first: it scores every history alike."""
        vocabulary = self._vocabularies[id(self._fallback)]
        [titles] = vocabulary.titles(top(self._fallback, vocabulary.matrix([()]), max(1, len(vocabulary.items))))
        return titles

    def _ranked(self, recommender: Recommender, shown: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        vocabulary = self._vocabularies[id(recommender)]
        filling = [()] * (-len(shown) % ROWS_AT_ONCE)
        matrix = vocabulary.matrix([*shown, *filling])
        ranked = top(recommender, matrix, self.launch.experiment.slate_size, block_users=ROWS_AT_ONCE)
        return vocabulary.titles(ranked[: len(shown)])

    def _slate(self, request: Request, arm: str | None, *, served_by: str, title_ids: tuple[str, ...]) -> Slate:
        return Slate(self._slate_id(request), self.launch.experiment.key, request, arm, served_by, title_ids)

    def _slate_id(self, request: Request) -> UUID:
        parts = (self.launch.experiment.key, request.user_id, request.surface, request.title_id or "")
        return event_id(request.at, "/".join(parts))


def place(launch: Launch, user_id: str) -> Placement:
    """Assign a user by the frozen salts and the traffic of now."""
    experiment = launch.experiment
    return experiment.place(user_id, experiment.ranges(launch.traffic))


def impressions(slate: Slate) -> list[Impression]:
    """Turn a slate that was shown into its impressions; none for users who are not in the experiment."""
    if slate.arm is None:
        return []
    request = slate.request
    return [
        Impression(
            event_id=event_id(request.at, f"{slate.slate_id}/{position}"),
            experiment=slate.experiment,
            user_id=request.user_id,
            arm=slate.arm,
            surface=request.surface,
            title_id=title_id,
            at=request.at,
            slate_id=slate.slate_id,
            position=position,
            served_by=slate.served_by,
        )
        for position, title_id in enumerate(slate.title_ids)
    ]


def _shown(request: Request, history: Sequence[str]) -> Sequence[str]:
    """Return what a slate is made from: the history, and the title of the page on a Movie Card."""
    return history if request.title_id is None else (*history, request.title_id)
