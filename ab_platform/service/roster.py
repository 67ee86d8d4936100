"""What is served right now: experiments, tokens and erasures, as one value that is swapped as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

from ab_platform.access import Token
from ab_platform.assignment import Ranges
from ab_platform.errors import NotFoundError, nearest
from ab_platform.events import Surface
from ab_platform.experiment import Arm
from ab_platform.lineage import Launch
from ab_platform.storage.store import Store

Clock = Literal["live", "replayed"]
"""Whether visits happen now, or on the experiment's own calendar, which may lie ahead."""


@dataclass(frozen=True)
class Standing:
    """A launched experiment as the service needs it.

    Attributes:
        launch: the experiment and its state.
        clock: of its visits.
    """

    launch: Launch
    clock: Clock

    @property
    def key(self) -> str:
        """Return the experiment's key."""
        return self.launch.experiment.key

    @property
    def running(self) -> bool:
        """Tell whether users are assigned."""
        return self.launch.state == "running"

    @cached_property
    def ranges(self) -> Ranges:
        """Return the arms' bucket ranges under the traffic of now."""
        return self.launch.experiment.ranges(self.launch.traffic)

    @cached_property
    def whole_ranges(self) -> Ranges:
        """Return the arms' bucket ranges under full traffic: who was ever in, and with which arm."""
        return self.launch.experiment.ranges(1.0)

    @cached_property
    def known_arms(self) -> dict[str, str | None]:
        """Return the arms, under full traffic, of users who were asked for before; None for who is in none."""
        return {}

    @cached_property
    def propensities(self) -> Mapping[str, float]:
        """Return the share of the experiment's users that get each arm."""
        return {arm.name: arm.weight for arm in self.launch.experiment.arms}

    def arm(self, index: int | None) -> Arm | None:
        """Return an arm by its place; None for None."""
        return None if index is None else self.launch.experiment.arms[index]


@dataclass(frozen=True)
class Roster:
    """All that requests are answered from, apart from arms and histories.

    Attributes:
        version: changes when an experiment does.
        experiments: by key; those whose raw events were deleted are not among them.
        tokens: by the hash of their text.
        erased: when each user asked to be forgotten, by the sha256 of the user id.
        read_at: when it was read from the store.
    """

    version: int
    experiments: Mapping[str, Standing]
    tokens: Mapping[str, Token]
    erased: Mapping[str, datetime]
    read_at: datetime
    running: Mapping[str, Standing] = field(init=False)

    def __post_init__(self) -> None:
        """Pick the running experiments out once."""
        object.__setattr__(self, "running", {key: each for key, each in self.experiments.items() if each.running})

    def chosen(self, keys: Sequence[str] | None, *, token: Token | None) -> list[Standing]:
        """Return the experiments that a request asks for: those it names, or all running ones that its token is for.

        Args:
            keys: of experiments, or None.
            token: of the client; None where none is needed.

        Raises:
            NotFoundError: for an experiment that is not launched, or that the token is not for: it looks the same.
        """
        if keys is None:
            return [each for each in self.running.values() if _allows(token, each.key)]
        return [self.standing(key, token=token) for key in keys]

    def standing(self, key: str, *, token: Token | None) -> Standing:
        """Return an experiment by its key.

        Raises:
            NotFoundError: as in `chosen`.
        """
        found = self.experiments.get(key)
        if found is None or not _allows(token, key):
            known = [each for each in self.experiments if _allows(token, each)]
            raise NotFoundError(f"experiment '{key[:100]}' is not launched; {nearest(key[:100], known)}")
        return found

    def serving(self, surface: Surface, *, token: Token | None) -> Standing:
        """Return the one running experiment on a surface.

        Raises:
            NotFoundError: where there is none, or several to choose from.
        """
        found = [each for each in self.chosen(None, token=token) if surface in each.launch.experiment.surfaces]
        if len(found) != 1:
            keys = ", ".join(sorted(each.key for each in found)) or "none"
            raise NotFoundError(f"{len(found)} experiments run on {surface} ({keys}); name one as 'experiment'")
        return found[0]


def read(store: Store, *, at: datetime, earlier: Roster | None = None) -> Roster:
    """Read the roster; experiments only where one changed since an earlier reading.

    Raises:
        StoreError: when the database is away.
    """
    version = store.changes_so_far()
    if earlier is not None and earlier.version == version:
        experiments = earlier.experiments
    else:
        made_up = store.made_up_experiments()
        kept = (each for each in store.experiments() if each.events_deleted_at is None)
        experiments = {
            each.experiment.key: Standing(each, "replayed" if each.experiment.key in made_up else "live")
            for each in kept
        }
    tokens = {token.secret_hash: token for token in store.tokens()}
    return Roster(version, experiments, tokens, store.erasures(), at)


def _allows(token: Token | None, experiment: str) -> bool:
    return token is None or token.allows(experiment)
