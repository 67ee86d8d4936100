"""Here every test of the store runs on both engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ab_platform.storage.store import Store, open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database without rows."""
    address: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return address


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A migrated store without rows."""
    opened = open_store(url, migrate=False)
    yield opened
    opened.close()
