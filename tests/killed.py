"""A child process that runs a small experiment end to end and may kill itself, as `kill -9` would, in one stage.

    python -m tests.killed STAGE DATABASE_URL HOME

STAGE is ingest, training, replay, roll_up, analysis, or none.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from ab_platform import launching
from ab_platform import replay as replay_module
from ab_platform.analysis import analyze
from ab_platform.datasets.ingest import ingest
from ab_platform.datasets.source import IngestProgress
from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.replay import Population
from ab_platform.storage.store import Store, open_store
from ab_platform.training import Workshop, snapshot
from ab_platform.viewer import Viewer
from models.recommender import EpochReport

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
SMALL = {"epochs": 4, "hidden": 16, "latent": 8, "batch": 64, "patience": 4}

EXPERIMENT = Experiment(
    "kill-me",
    DataRule("synthetic"),
    (
        Arm("multi_vae", "multi_vae", 0.5, control=True, config=SMALL),
        Arm("pia", "pia", 0.5, config={**SMALL, "alignment": 0.1}),
    ),
    starts_on=date(2026, 3, 1),
)
USERS = 512
"""Who visit: eight groups to be killed among."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def first_of(population: Population, count: int) -> Population:
    """Return the first users of a population."""
    users = sorted(population.histories)[:count]
    likes = {user: population.likes[user] for user in users if user in population.likes}
    return Population({user: population.histories[user] for user in users}, likes)


def main(stage: str, url: str, home: Path) -> None:
    replay_module.USERS_AT_ONCE = 64
    store = open_store(url, migrate=True)
    workshop = Workshop(home / "artifacts", home / "checkpoints", device="cpu", precision="float32")

    def on_ingest(progress: IngestProgress) -> None:
        if stage == "ingest" and progress.total and progress.done > progress.total / 2:
            die()

    ingest(store, "synthetic", data_home=home, at=NOW, progress=on_ingest)
    snap = snapshot(store, EXPERIMENT.data)

    def on_epoch(arm: Arm) -> Callable[[EpochReport], None]:
        def seen(report: EpochReport) -> None:
            if stage == "training" and arm.name == "pia" and report.epoch == 2:
                die()

        return seen

    launched = launching.launch(store, workshop, EXPERIMENT, snap, at=NOW, on_epoch=on_epoch)
    server = launching.server(store, workshop, launched, snap)

    def on_users(done: int, total: int) -> None:
        if stage == "replay" and done > total / 2:
            die()

    visitors = first_of(snap.population(), USERS)
    replay_module.replay(store, server, visitors, viewer=Viewer(), seed=0, at=NOW, progress=on_users)
    if stage == "roll_up":
        Store.watermark = lambda *_: die()  # type: ignore[method-assign]  # what follows the roll-up
    if stage == "analysis":
        Store.write_readout = lambda *_: die()  # type: ignore[method-assign]  # the last step
    analyze(store, EXPERIMENT.key)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
