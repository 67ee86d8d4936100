"""A small data set, ingested and split."""

from __future__ import annotations

import pytest

from ab_platform.offline.evaluating import Setup
from ab_platform.offline.protocol import OfflineSplit, of_dataset
from ab_platform.storage.store import Store
from tests import small_world
from tests.offline import fakes


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with 400 users who liked 12 titles each, of 60."""
    small_world.fill(store)
    return store


@pytest.fixture
def offline(filled: Store) -> OfflineSplit:
    """The usual split of it: 320 users are trained on, 40 choose, 40 judge."""
    return of_dataset(filled, small_world.DATASET)


@pytest.fixture
def setup(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """A place to train in, with the fakes among the recommenders."""
    fakes.register(monkeypatch)
    return fakes.setup(tmp_path_factory.mktemp("home"))
