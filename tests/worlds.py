"""Small worlds with known answers, for the tests of serving, replay and analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.lineage import Artifact, Launch, Recipe
from ab_platform.replay import Population
from ab_platform.serving import Histories, Server
from ab_platform.storage.store import Store
from models.interactions import HeldOut, Interactions
from models.popularity import PopularityConfig
from models.recommender import FitOptions, FitReport, Recommender

TITLES = tuple(f"t{number:02d}" for number in range(40))
USERS = tuple(f"user{number:04d}" for number in range(300))
START = datetime(2026, 3, 1, tzinfo=UTC)


class InOrder:
    """A fake recommender: the same order of titles for everyone, from a list; it stands in for a trained arm."""

    name = "in_order"
    deterministic = True
    config = PopularityConfig()

    def __init__(self, best_first: Sequence[str], *, fails: bool = False) -> None:
        self.items = tuple(sorted(best_first))
        rank = {title: place for place, title in enumerate(best_first)}
        self._scores = np.array([-rank[title] for title in self.items], dtype=np.float32)
        self._fails = fails

    def fit(self, train: Interactions, validation: HeldOut | None, options: FitOptions) -> FitReport:
        raise AssertionError("a fake is not fitted")

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        if self._fails:
            raise RuntimeError("out of memory")
        return np.tile(self._scores, (histories.shape[0], 1))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        return {"scores": self._scores}

    def restore(self, items: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> None:
        raise AssertionError("a fake is not restored")


def experiment(key: str = "tail-vs-head", *, traffic: float = 1.0, slate_size: int = 5) -> Experiment:
    arms = (Arm("head", "popularity", 0.5, control=True), Arm("tail", "popularity", 0.5, seed=1))
    return Experiment(key, DataRule("small"), arms, traffic=traffic, slate_size=slate_size)


def launch(defined: Experiment | None = None) -> Launch:
    defined = defined or experiment()
    return Launch(
        experiment=defined,
        artifacts={arm.name: f"artifact-of-{arm.name}" for arm in defined.arms},
        state="running",
        traffic=defined.traffic,
        launched_at=START,
        starts_at=START,
        ends_at=START + timedelta(days=defined.days),
    )


def register(store: Store, launched: Launch) -> None:
    """Put a launch into a store, with an artifact registered for each arm."""
    for arm in launched.experiment.arms:
        recipe = Recipe(arm.recommender, dict(arm.config), arm.seed, "small", "data", "code")
        store.register(Artifact(launched.artifacts[arm.name], recipe, {}, START))
    store.launch(launched)


def server(launched: Launch | None = None, *, failing: Sequence[str] = (), store: Store | None = None) -> Server:
    """Serve head (titles in order) against tail (titles in reverse); popularity starts in the middle."""
    orders = {"head": TITLES, "tail": TITLES[::-1]}
    recommenders: dict[str, Recommender] = {arm: InOrder(order, fails=arm in failing) for arm, order in orders.items()}
    fallback = InOrder([*TITLES[20:], *TITLES[:20]])
    return Server(launched or launch(), recommenders, fallback=fallback, histories=Histories(), store=store)


def population() -> Population:
    """Return users who have seen the first titles and like some from the tail: the tail arm truly wins."""
    histories = {user: list(TITLES[: 1 + number % 3]) for number, user in enumerate(USERS)}
    likes = {user: [TITLES[-1 - number % 7], TITLES[-2 - number % 5]] for number, user in enumerate(USERS)}
    return Population(histories=histories, likes=likes)
