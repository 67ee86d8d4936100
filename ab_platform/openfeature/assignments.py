"""Where a user's arm comes from: the service, launches in memory, or a short memory of either."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ab_platform.client.http import Client
from ab_platform.client.shapes import Assigned
from ab_platform.errors import NotFoundError, nearest

if TYPE_CHECKING:  # a definition brings the statistics along, which an application that has a launch holds already
    from ab_platform.lineage import Launch

MOST_REMEMBERED = 100_000


class Assignments(Protocol):
    """Knows users' arms."""

    def assign(self, user_id: str, experiment: str) -> Assigned:
        """Return a user's arm in an experiment.

        Raises:
            NotFoundError: for an unknown experiment.
        """
        ...


@dataclass(frozen=True)
class KnownAssigned(Assigned):
    """A user's arm where the launch itself is at hand.

    Attributes:
        layer: the layer's salt.
        model_version: artifact of the arm; None where there is no arm.
        config: settings of the arm's recommender.
    """

    layer: str
    model_version: str | None = None
    config: Mapping[str, bool | int | float | str] = field(default_factory=dict)


class ServiceAssignments:
    """Asks the service, one request a call."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def assign(self, user_id: str, experiment: str) -> Assigned:
        """Return a user's arm in an experiment.

        Raises:
            NotFoundError: for an unknown experiment.
            ServiceError: for what the service refuses.
            ServiceAwayError: where it does not answer.
        """
        [found] = self._client.assign(user_id, [experiment])
        return found

    def ready(self) -> bool:
        """Tell whether the service is there and can answer."""
        return self._client.ready()


class LocalAssignments:
    """Assigns in this process, as the service would: a pure function of launches and user id.

    Args:
        launches: such as `Store.experiments()`; those whose raw events were deleted are left out.
        pseudonym: what turns an application's user ids into those of the platform, where it keeps keyed hashes only.
    """

    def __init__(self, launches: Iterable[Launch], *, pseudonym: Callable[[str], str] = str) -> None:
        self._pseudonym = pseudonym
        self.replace(launches)

    def replace(self, launches: Iterable[Launch]) -> None:
        """Take other launches, such as those after a ramp or a stop."""
        self._launches = {each.experiment.key: each for each in launches if each.events_deleted_at is None}

    def assign(self, user_id: str, experiment: str) -> KnownAssigned:
        """Return a user's arm in an experiment.

        Raises:
            NotFoundError: for an unknown experiment.
        """
        launch = self._launches.get(experiment)
        if launch is None:
            raise NotFoundError(f"experiment '{experiment}' is not launched; {nearest(experiment, self._launches)}")
        layer = launch.experiment.layer
        if launch.state != "running":
            return KnownAssigned(user_id, experiment, None, None, "stopped", layer)
        index = _arm_index(launch, self._pseudonym(user_id))
        if index is None:
            return KnownAssigned(user_id, experiment, None, None, "not_in", layer)
        arm = launch.experiment.arms[index]
        version = launch.artifacts.get(arm.name)
        return KnownAssigned(user_id, experiment, arm.name, arm.control, "split", layer, version, arm.config)


class CachedAssignments:
    """Remembers assignments for a short time; a stop or a ramp reaches it that much later.

    Args:
        source: knows the arms.
        seconds: how long an answer is used.
        clock: seconds that only grow.
        most: answers that are kept; the oldest go first.
    """

    def __init__(
        self, source: Assignments, *, seconds: float, clock: Callable[[], float], most: int = MOST_REMEMBERED
    ) -> None:
        self._source = source
        self._seconds, self._clock, self._most = seconds, clock, most
        self._known: OrderedDict[tuple[str, str], tuple[float, Assigned]] = OrderedDict()
        self._lock = threading.Lock()

    def assign(self, user_id: str, experiment: str) -> Assigned:
        """Return a user's arm in an experiment, as it is or was a moment ago.

        Raises:
            NotFoundError: for an unknown experiment.
        """
        now = self._clock()
        with self._lock:
            known = self._known.get((user_id, experiment))
        if known is not None and now < known[0]:
            return known[1]
        found = self._source.assign(user_id, experiment)
        with self._lock:
            self._known[user_id, experiment] = now + self._seconds, found
            self._known.move_to_end((user_id, experiment))
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return found


def _arm_index(launch: Launch, user_id: str) -> int | None:
    """Return the place of the user's arm under the frozen salts and the traffic of now."""
    experiment = launch.experiment
    return experiment.place(user_id, experiment.ranges(launch.traffic)).arm_index
