"""A small data set whose arms train in a second, and experiments on it that go through every step."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np

from ab_platform.experiment import Arm, DataRule, Experiment, RampStep
from ab_platform.storage.store import Store

DATASET = "small"
NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
USERS, TITLES, WATCHED = 400, 60, 12
TINY = {"epochs": 4, "hidden": 16, "latent": 8, "batch": 64, "patience": 4}

EXPERIMENT = Experiment(
    "small-run",
    DataRule(DATASET, least_rating=4.0, least_interactions=3),
    (
        Arm("multi_vae", "multi_vae", 0.5, control=True, config=TINY),
        Arm("pia", "pia", 0.5, config={**TINY, "alignment": 0.1}),
    ),
    starts_on=date(2026, 3, 1),
    ramp=(RampStep(0.3, 1), RampStep(0.6, 2)),
    least_quality=0.2,
)


def fill(store: Store) -> None:
    """Put the data set into a store: two tastes, each with its half of the titles, and some chance."""
    rng = np.random.default_rng(7)
    taste = np.arange(TITLES) < TITLES // 2
    users, titles = [], []
    for user in range(USERS):
        fit = np.where(taste == (user % 2 == 0), 4.0, 1.0) / (1.0 + np.arange(TITLES) % (TITLES // 2))
        chosen = rng.choice(TITLES, WATCHED, replace=False, p=fit / fit.sum())
        users += [f"u{user:03d}"] * WATCHED
        titles += [f"t{title:02d}" for title in chosen]
    rows = len(users)
    with store.ingesting(DATASET, "hash", "made by a test", NOW) as writer:
        writer.write_interactions(users, titles, np.full(rows, 5.0), np.arange(rows, dtype=np.int64) + 1_000_000_000)
        writer.finish(0)
