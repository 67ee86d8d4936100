"""Published data sets as they are, where ABP_DATA_HOME has them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ab_platform.datasets.ingest import ingest
from ab_platform.lineage import Title
from ab_platform.storage.store import Store

AT = datetime(2026, 3, 1, tzinfo=UTC)


def data_home(name: str) -> Path:
    """Return ABP_DATA_HOME, or skip the test for want of a data set there."""
    home = os.environ.get("ABP_DATA_HOME")
    if not home:
        pytest.skip("ABP_DATA_HOME is not set")
    if not any((Path(home) / kept_as).exists() for kept_as in (name, f"{name}.zip")):
        pytest.skip(f"ABP_DATA_HOME has no {name}")
    return Path(home)


def test_movielens_1m_arrives_whole(store: Store) -> None:
    done = ingest(store, "ml-1m", data_home=data_home("ml-1m"), at=AT, allow_download=False)
    # The whole of it as published, or its ratings of 4 and 5 only.
    assert (done.dataset.interactions, done.dataset.users) in {(1_000_209, 6_040), (575_281, 6_038)}
    assert (done.dataset.titles, done.dataset.bad_rows, done.dataset.repeated_rows) == (3_883, 0, 0)
    assert len(store.interactions("ml-1m", least_rating=4.0).at) == 575_281
    assert store.titles("ml-1m")["73"] == Title("73", "Misérables, Les", ("Drama", "Musical"), 1995)
    assert not ingest(store, "ml-1m", data_home=data_home("ml-1m"), at=AT, allow_download=False).changed


def test_movielens_latest_small_arrives_whole(store: Store) -> None:
    done = ingest(store, "ml-latest-small", data_home=data_home("ml-latest-small"), at=AT, allow_download=False)
    # The editions of 2016 and of 2018.
    assert (done.dataset.interactions, done.dataset.users) in {(100_004, 671), (100_836, 610)}
    assert (done.dataset.bad_rows, done.dataset.repeated_rows) == (0, 0)
    assert store.titles("ml-latest-small")["11"].title == "American President, The"


def test_gowalla_arrives_whole(store: Store) -> None:
    done = ingest(store, "gowalla", data_home=data_home("gowalla"), at=AT, allow_download=False)
    assert (done.dataset.interactions, done.dataset.users, done.dataset.titles) == (1_027_370, 29_858, 40_981)
    assert (done.dataset.bad_rows, done.dataset.repeated_rows) == (0, 0)
