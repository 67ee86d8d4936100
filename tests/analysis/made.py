"""A small week of made-up visits, recorded as events, for the tests of the analysis."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import numpy as np

from ab_platform.events import AnyEvent, Click, Impression, Surface, Watch, event_id
from ab_platform.experiment import AnalysisRule, Arm, DataRule, Experiment
from ab_platform.lineage import Artifact, Launch, Recipe
from ab_platform.serving import place
from ab_platform.storage.store import Store

START = datetime.fromisoformat("2026-03-02T00:00:00+00:00")
KEY = "new-vs-old"
DATASET = "made"


def definition(key: str = KEY, **changed: object) -> Experiment:
    """Return an experiment of two arms; `changed` are fields of Experiment."""
    arms = (Arm("old", "popularity", 0.5, control=True), Arm("new", "popularity", 0.5, seed=1))
    base = Experiment(key, DataRule(DATASET), arms, layer=f"layer-of-{key}", analysis=AnalysisRule(covariates=()))
    return replace(base, **changed)  # type: ignore[arg-type]


def launched(store: Store, experiment: Experiment, *, at: datetime = START) -> Launch:
    """Launch an experiment, with an artifact registered for each arm."""
    artifacts = {}
    for arm in experiment.arms:
        artifacts[arm.name] = f"artifact-of-{arm.seed}"
        recipe = Recipe(arm.recommender, dict(arm.config), arm.seed, DATASET, "data", "code")
        store.register(Artifact(artifacts[arm.name], recipe, {}, START))
    made = Launch(experiment, artifacts, "running", experiment.traffic, at, at, at + timedelta(days=experiment.days))
    store.launch(made)
    return made


def visits(
    launch: Launch,
    users: int = 300,
    *,
    seed: int = 0,
    factor: float = 1.0,
    days: int = 3,
    surfaces: tuple[Surface, ...] = ("home_card", "movie_card"),
) -> list[AnyEvent]:
    """Draw visits of users who keep a taste of their own from week to week; `factor` multiplies a treatment's watches.

    Each user comes on `days` days of the week, is shown two titles on each surface, and clicks and watches some.
    """
    rng = np.random.default_rng(seed)
    happened: list[AnyEvent] = []
    for number in range(users):
        user = f"user-{number}"
        index = place(launch, user).arm_index
        if index is None:
            continue
        arm = launch.experiment.arms[index]
        taste = np.random.default_rng(number).gamma(2.0, 60.0)
        for day in sorted(rng.choice(launch.experiment.days, days, replace=False).tolist()):
            for surface in surfaces:
                at = launch.starts_at + timedelta(days=day, seconds=int(rng.integers(0, 80_000)))
                shown = _slate(launch.experiment.key, user, arm.name, surface, at, rng)
                happened += shown
                for each in shown:
                    if rng.random() < 0.4:
                        seconds = taste * rng.gamma(2.0, 0.5) * (1.0 if arm.control else factor)
                        happened += _played(each, round(float(min(seconds, 80_000.0)), 3))
    return happened


def _slate(key: str, user: str, arm: str, surface: Surface, at: datetime, rng: np.random.Generator) -> list[Impression]:
    slate_id = uuid5(UUID(int=0), f"{key}/{user}/{surface}/{at.isoformat()}")
    latency, served_by = round(float(rng.gamma(4.0, 5.0)), 3), arm if rng.random() > 0.05 else "popularity"
    return [
        Impression(
            event_id(at, f"{slate_id}/{place}"), key, user, arm, surface, f"t{place}", at, slate_id, place, served_by,
            latency,
        )
        for place in range(2)
    ]  # fmt: skip


def _played(shown: Impression, seconds: float) -> list[AnyEvent]:
    at = shown.at + timedelta(seconds=7)
    common = (shown.experiment, shown.user_id, shown.arm, shown.surface, shown.title_id, at, shown.event_id)
    return [
        Click(event_id(at, f"{shown.event_id}/click"), *common),
        Watch(event_id(at, f"{shown.event_id}/watch"), *common, seconds),
    ]
