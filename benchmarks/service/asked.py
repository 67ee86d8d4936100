"""What is sent: requests written beforehand, for users, titles and arms of a home."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from ab_platform.events import Impression, event_id
from benchmarks.service.driver import request
from benchmarks.service.world import Catalogue

BY_POPULARITY = b'"served_by":"popularity"'
"""In the reply of a slate that its arm did not make."""


def assignments(catalogue: Catalogue, token: str, *, at_once: int) -> list[bytes]:
    """Ask for the arm of every user, some users a request."""
    users, key = catalogue.users, catalogue.experiment.key
    groups = [users[start : start + at_once] for start in range(0, len(users) - at_once + 1, at_once)]
    return [_post("/v1/assignments", {**_named(group), "experiments": [key]}, token) for group in groups]


def slates(catalogue: Catalogue, token: str, users: Sequence[str]) -> list[bytes]:
    """Ask for a slate for each user."""
    asked = {"surface": "home_card", "experiment": catalogue.experiment.key}
    return [_post("/v1/recommendations", {"user_id": user, **asked}, token) for user in users]


@dataclass(frozen=True)
class Batch:
    """Impressions that are sent together, as events and as the request that travels."""

    events: tuple[Impression, ...]
    request: bytes


class Batches:
    """Makes batches of impressions, every id new.

    Args:
        catalogue: whose users and titles.
        token: that lets them in.
    """

    def __init__(self, catalogue: Catalogue, token: str) -> None:
        self._catalogue = catalogue
        self._token = token
        self._rng = np.random.default_rng(0)
        self._slates = 0
        experiment = catalogue.experiment
        places = experiment.place_all(catalogue.users, experiment.ranges())
        self._arms = [experiment.arms[place].name for place in places.tolist()]

    def make(self, events: int, *, size: int) -> list[Batch]:
        """Make so many events in batches of a size, of slates that were shown within the last minute."""
        since = datetime.now(UTC) - timedelta(minutes=1)
        shown = [event for _ in range(-(-events // 10)) for event in self._slate(since)]
        groups = [tuple(shown[start : start + size]) for start in range(0, events - size + 1, size)]
        return [
            Batch(group, _post("/v1/events", {"events": [_travelling(each) for each in group]}, self._token))
            for group in groups
        ]

    def _slate(self, since: datetime) -> Iterator[Impression]:
        self._slates += 1
        user = int(self._rng.integers(len(self._catalogue.users)))
        at = since + timedelta(milliseconds=self._slates % 60_000)
        key, arm = self._catalogue.experiment.key, self._arms[user]
        slate = event_id(at, f"benchmark/{self._slates}")
        for position, title in enumerate(self._rng.integers(len(self._catalogue.titles), size=10).tolist()):
            made = event_id(at, f"{slate}/{position}")
            own = (self._catalogue.titles[title], at, slate, position, arm)
            yield Impression(made, key, self._catalogue.users[user], arm, "home_card", *own)


def _travelling(event: Impression) -> dict[str, object]:
    return {
        "type": "impression",
        "event_id": str(event.event_id),
        "experiment": event.experiment,
        "user_id": event.user_id,
        "surface": event.surface,
        "title_id": event.title_id,
        "at": event.at.isoformat(),
        "request_id": str(event.slate_id),
        "position": event.position,
    }


def _named(users: Sequence[str]) -> dict[str, object]:
    return {"user_id": users[0]} if len(users) == 1 else {"user_ids": list(users)}


def _post(path: str, content: dict[str, object], token: str) -> bytes:
    return request("POST", path, json.dumps(content, separators=(",", ":")).encode(), token=token)
