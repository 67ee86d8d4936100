"""A home of its own for every test: the dashboard finds its database through the environment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner

from ab_platform.storage.store import Store, open_store


@pytest.fixture(scope="session", autouse=True)
def _packages_searched_once() -> Iterator[None]:
    """Let Streamlit search the installed packages once, and not at every visit: it takes half a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    monkeypatch.delenv("ABP_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def stored(home: Path, migrated_file: Path) -> Iterator[Store]:
    """The migrated store in `home`."""
    shutil.copyfile(migrated_file, home / "abp.db")
    store = open_store(f"sqlite:///{home / 'abp.db'}", migrate=False)
    yield store
    store.close()
