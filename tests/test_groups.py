"""Tests of one group run on one worker, so that what they share is made once."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.xdist_group("a group")


@pytest.mark.parametrize("number", [1, 2])
def test_a_worker_gets_a_group_by_the_ids_of_its_tests(request: pytest.FixtureRequest, number: int) -> None:
    grouped = request.config.getoption("loadgroup", False)
    assert request.node.nodeid.endswith("@a group" if grouped else f"[{number}]")
