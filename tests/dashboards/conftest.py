"""A home of its own for every test: the dashboard finds its database through the environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ab_platform.storage.store import Store, open_store


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    monkeypatch.delenv("ABP_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def stored(home: Path) -> Iterator[Store]:
    """The migrated store in `home`."""
    store = open_store(f"sqlite:///{home / 'abp.db'}", migrate=True)
    yield store
    store.close()
