"""A fake recommender in the registry, and what it is tuned on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ab_platform.storage.store import Store
from ab_platform.training import Workshop
from ab_platform.tuning.measuring import Bench, Material
from models import registry
from models.interactions import Interactions
from tests.tuning.fake import Fake

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    """Put the fake into the registry; it has trained nothing yet."""
    monkeypatch.setitem(registry.RECOMMENDERS, "fake", "tests.tuning.fake:Fake")
    monkeypatch.setattr(Fake, "trained", [])
    return Fake


@pytest.fixture(scope="session")
def material() -> Material:
    """40 users of 10 titles each, every fourth of whom judges."""
    rng = np.random.default_rng(7)
    users = [f"u{user:02d}" for user in range(40) for _ in range(10)]
    titles = [f"t{title:02d}" for _ in range(40) for title in rng.permutation(30)[:10]]
    every = Interactions.from_rows(users, titles)
    split = every.split_users(validation_users=10, test_users=0, seed=1)
    return Material("small", every.content_hash(), split)


@pytest.fixture
def bench(fake: type[Fake], store: Store, material: Material, tmp_path: Path) -> Bench:
    """A store without trials, and an empty workshop."""
    workshop = Workshop(tmp_path / "artifacts", tmp_path / "checkpoints", device="cpu", precision="float32")
    return Bench(store, workshop, material, lambda: NOW)
