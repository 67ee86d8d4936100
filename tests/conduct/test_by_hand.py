"""Stop and ramp by hand: done once, and on the experiment's own calendar."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ab_platform.conduct.by_hand import moment, ramp, stop
from ab_platform.errors import ExperimentError, NotFoundError
from ab_platform.lineage import Change
from ab_platform.storage.store import Store
from tests.worlds import START, launch, register

KEY = launch().experiment.key
NOW = START + timedelta(days=2)


@pytest.fixture
def running(store: Store) -> Store:
    register(store, launch())
    return store


def test_a_stop_happens_now_and_once(running: Store) -> None:
    assert stop(running, KEY, now=NOW, reason="enough")
    assert not stop(running, KEY, now=NOW + timedelta(days=1), reason="again")
    assert running.experiment(KEY).stopped_at == NOW
    assert [change.reason for change in running.changes(KEY) if change.action == "stop"] == ["enough"]


def test_a_ramp_happens_once(running: Store) -> None:
    assert ramp(running, KEY, 0.5, now=NOW, reason="look")
    assert not ramp(running, KEY, 0.5, now=NOW, reason="again")
    assert [change.at for change in running.changes(KEY) if change.action == "ramp"] == [NOW]


def test_a_replay_is_stopped_where_it_has_come_to(running: Store) -> None:
    until = START + timedelta(days=1)
    running.note(Change(KEY, START, "replay", None, {"until": until.isoformat()}, None))
    assert moment(running, KEY, NOW) == until
    stop(running, KEY, now=NOW)
    assert running.experiment(KEY).stopped_at == until


def test_nothing_happens_before_the_launch(running: Store) -> None:
    assert moment(running, KEY, START - timedelta(days=1)) == START


def test_what_cannot_be_is_refused(running: Store) -> None:
    with pytest.raises(ExperimentError, match="must be a fraction"):
        ramp(running, KEY, 1.5, now=NOW)
    with pytest.raises(NotFoundError, match="did you mean"):
        stop(running, KEY + "s", now=NOW)
    stop(running, KEY, now=NOW)
    with pytest.raises(ExperimentError, match="launch it under a new key"):
        ramp(running, KEY, 0.5, now=NOW)
