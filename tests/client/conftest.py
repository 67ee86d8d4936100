"""A fake service for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.fake_service import FakeService, serving


@pytest.fixture
def service() -> Iterator[FakeService]:
    with serving() as started:
        yield started
