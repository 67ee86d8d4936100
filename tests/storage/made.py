"""Launches and events for the tests of the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from ab_platform.events import Click, Impression, Surface, Watch, event_id
from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.lineage import Artifact, Launch, Recipe
from ab_platform.storage.store import Store

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=7)
KEY = "pia-vs-multi-vae"


def definition(
    key: str = KEY, *, layer: str = "recommender", buckets: tuple[int, int] = (0, 10_000), days: int = 7
) -> Experiment:
    return Experiment(
        key=key,
        data=DataRule("ml-1m"),
        arms=(Arm("control", "multi_vae", 0.5, control=True), Arm("pia", "pia", 0.5, config={"alignment": 0.1})),
        layer=layer,
        layer_buckets=buckets,
        days=days,
    )


def launch(defined: Experiment | None = None) -> Launch:
    defined = defined or definition()
    return Launch(
        experiment=defined,
        artifacts={arm.name: f"artifact-{arm.name}" for arm in defined.arms},
        state="running",
        traffic=defined.traffic,
        launched_at=START,
        starts_at=START,
        ends_at=START + timedelta(days=defined.days),
    )


def recipe(recommender: str = "multi_vae", *, seed: int = 0) -> Recipe:
    return Recipe(recommender, {"epochs": 3, "dropout": 0.5, "tied": False}, seed, "ml-1m", "data-1", "code-1")


def register(store: Store, launched: Launch) -> None:
    for arm in launched.experiment.arms:
        made = recipe(arm.recommender, seed=arm.seed)
        store.register(Artifact(launched.artifacts[arm.name], made, {"ndcg": 0.25}, START))


def started(store: Store, defined: Experiment | None = None) -> Launch:
    """Launch an experiment, its artifacts registered."""
    launched = launch(defined)
    register(store, launched)
    store.launch(launched)
    return launched


def after(*, days: float = 0, seconds: float = 0) -> datetime:
    return START + timedelta(days=days, seconds=seconds)


def impression(
    user: str, at: datetime, *, key: str = KEY, arm: str = "control", surface: Surface = "home_card", mark: str = ""
) -> Impression:
    identity = event_id(at, f"{key}/{user}/{surface}/{mark}/impression")
    return Impression(identity, key, user, arm, surface, "title-1", at, UUID(int=7), 0, arm)


def click(user: str, at: datetime, *, key: str = KEY, surface: Surface = "home_card", mark: str = "") -> Click:
    identity = event_id(at, f"{key}/{user}/{surface}/{mark}/click")
    return Click(identity, key, user, "control", surface, "title-1", at, UUID(int=8))


def watch(
    user: str, at: datetime, seconds: float, *, key: str = KEY, surface: Surface = "home_card", mark: str = ""
) -> Watch:
    identity = event_id(at, f"{key}/{user}/{surface}/{mark}/watch")
    return Watch(identity, key, user, "control", surface, "title-1", at, UUID(int=9), seconds)
