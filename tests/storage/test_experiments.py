from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest

from ab_platform.errors import ExperimentError, NotFoundError
from ab_platform.lineage import Change
from ab_platform.storage.store import Store, open_store
from tests.storage.made import KEY, START, after, definition, launch, register, started


def test_a_launch_comes_back_as_it_was_written(store: Store) -> None:
    launched = started(store)
    assert store.experiment(KEY) == launched
    assert store.experiments() == (launched,)
    assert list(store.experiment(KEY).artifacts) == ["control", "pia"]


def test_the_very_same_launch_again_changes_nothing(store: Store) -> None:
    launched = launch()
    register(store, launched)
    assert store.launch(launched, reason="first") is True
    later = replace(launched, launched_at=START + timedelta(hours=1))
    assert store.launch(later, reason="again") is False
    assert store.experiment(KEY) == launched
    assert len(store.changes(KEY)) == 1


def test_a_key_with_another_definition_is_refused(store: Store) -> None:
    started(store)
    with pytest.raises(
        ExperimentError, match=f"'{KEY}' is launched with another definition; a relaunch takes a new key"
    ):
        store.launch(launch(definition(days=14)))


def test_a_key_with_other_artifacts_is_refused(store: Store) -> None:
    launched = started(store)
    other = replace(launched, artifacts={"control": "artifact-pia", "pia": "artifact-control"})
    with pytest.raises(ExperimentError, match=f"'{KEY}' is launched with other artifacts; a relaunch takes a new key"):
        store.launch(other)


def test_the_fallback_comes_back_and_another_one_is_refused(store: Store) -> None:
    launched = replace(launch(), fallback="artifact-control")
    register(store, launched)
    store.launch(launched)
    assert store.experiment(KEY) == launched
    assert store.experiment(KEY).fallback == "artifact-control"
    with pytest.raises(ExperimentError, match=f"'{KEY}' is launched with other artifacts; a relaunch takes a new key"):
        store.launch(replace(launched, fallback="artifact-pia"))


def test_a_fallback_that_was_not_trained_is_refused_and_leaves_nothing(store: Store) -> None:
    launched = launch()
    register(store, launched)
    with pytest.raises(NotFoundError, match="artifact 'nowhere' of the fallback is not registered; train it first"):
        store.launch(replace(launched, fallback="nowhere"))
    assert store.experiments() == ()


def test_a_stopped_key_is_not_launched_again(store: Store) -> None:
    launched = started(store)
    store.stop(KEY, at=after(days=1))
    with pytest.raises(ExperimentError, match="was stopped at 2026-03-02 00:00 UTC; a relaunch takes a new key"):
        store.launch(launched)


def test_an_arm_that_was_not_trained_is_refused_and_leaves_nothing(store: Store) -> None:
    with pytest.raises(NotFoundError, match="artifact 'artifact-control' of arm 'control' is not registered; train"):
        store.launch(launch())
    assert store.experiments() == ()
    assert store.free_slices("recommender") == ((0, 10_000),)


def test_an_overlap_names_the_experiment_and_the_first_free_slice(store: Store) -> None:
    started(store, definition("first", buckets=(0, 3000)))
    started(store, definition("second", buckets=(3500, 5000)))
    with pytest.raises(ExperimentError) as caught:
        store.launch(launch(definition("third", buckets=(2000, 3000))))
    assert str(caught.value) == (
        "layer_buckets [2000, 3000) overlap [0, 3000) of 'first', which runs in layer 'recommender'; "
        "[5000, 6000) is free"
    )
    assert caught.value.location == ("layer_buckets",)


def test_an_overlap_without_a_free_slice_of_that_length_says_what_is_left(store: Store) -> None:
    started(store, definition("first", buckets=(0, 9000)))
    with pytest.raises(
        ExperimentError, match=r"no 2000 buckets in a row are free \(at most 1000\): take fewer, stop one"
    ):
        store.launch(launch(definition("second", buckets=(8000, 10_000))))


def test_slices_that_touch_do_not_overlap_and_layers_are_apart(store: Store) -> None:
    started(store, definition("first", buckets=(0, 5000)))
    started(store, definition("second", buckets=(5000, 10_000)))
    started(store, definition("third", layer="search"))
    assert store.free_slices("recommender") == ()
    assert store.free_slices("search") == ()
    assert store.free_slices("home") == ((0, 10_000),)


def test_stopping_frees_the_slice(store: Store) -> None:
    started(store, definition("first", buckets=(0, 5000)))
    started(store, definition("second", buckets=(6000, 7000)))
    assert store.free_slices("recommender") == ((5000, 6000), (7000, 10_000))
    store.stop("first", at=after(days=1))
    assert store.free_slices("recommender") == ((0, 6000), (7000, 10_000))
    started(store, definition("third", buckets=(0, 6000)))


def test_two_launches_at_once_never_own_the_same_bucket(store: Store, url: str) -> None:
    register(store, launch())
    barrier = Barrier(2)

    def launch_together(turn: int, key: str) -> str:
        other = open_store(url, migrate=False)
        barrier.wait()
        try:
            return str(other.launch(launch(definition(f"{key}-{turn}", layer=f"layer-{turn}"))))
        except ExperimentError as error:
            return str(error)
        finally:
            other.close()

    with ThreadPoolExecutor(2) as pool:
        for turn in range(4):
            won, lost = sorted(pool.map(launch_together, [turn, turn], ["a", "b"]))
            assert won == "True"
            assert lost.startswith("layer_buckets [0, 10000) overlap [0, 10000) of ")


def test_a_ramp_changes_the_traffic_and_is_logged(store: Store) -> None:
    started(store)
    assert store.ramp(KEY, 0.2, at=after(days=1), reason="errors") is True
    assert store.ramp(KEY, 0.2, at=after(days=2)) is False
    assert store.experiment(KEY).traffic == 0.2
    assert store.experiment(KEY).experiment.traffic == 1.0
    assert store.changes(KEY)[1:] == (Change(KEY, after(days=1), "ramp", {"traffic": 1.0}, {"traffic": 0.2}, "errors"),)


def test_the_log_begins_with_the_launch_and_takes_notes(store: Store) -> None:
    launched = launch()
    register(store, launched)
    store.launch(launched, reason="the paper says so")
    noted = Change(KEY, after(seconds=1), "replay", None, {"seed": 1}, None)
    store.note(noted)
    frozen = {"state": "running", "traffic": 1.0, "artifacts": dict(launched.artifacts)}
    assert store.changes(KEY) == (Change(KEY, START, "launch", None, frozen, "the paper says so"), noted)


def test_a_traffic_outside_the_unit_interval_is_refused(store: Store) -> None:
    started(store)
    with pytest.raises(ExperimentError, match=r"traffic is 1.5; it must be a fraction in \[0, 1\]"):
        store.ramp(KEY, 1.5, at=after(days=1))


def test_stopping_twice_changes_nothing_the_second_time(store: Store) -> None:
    started(store)
    assert store.stop(KEY, at=after(days=2), reason="shipped") is True
    assert store.stop(KEY, at=after(days=3)) is False
    stopped = store.experiment(KEY)
    assert (stopped.state, stopped.stopped_at) == ("stopped", after(days=2))
    assert [change.action for change in store.changes(KEY)] == ["launch", "stop"]


def test_a_stopped_experiment_is_not_ramped(store: Store) -> None:
    started(store)
    store.stop(KEY, at=after(days=2))
    with pytest.raises(ExperimentError, match="was stopped at 2026-03-03 00:00 UTC; only a running one can be ramped"):
        store.ramp(KEY, 0.5, at=after(days=3))


def test_an_experiment_does_not_stop_before_its_launch(store: Store) -> None:
    started(store)
    with pytest.raises(ExperimentError, match="cannot stop at 2026-02-28 00:00 UTC; it was launched at 2026-03-01"):
        store.stop(KEY, at=after(days=-1))


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.experiment("pia-vs-multi-vea"),
        lambda store: store.ramp("pia-vs-multi-vea", 0.5, at=START),
        lambda store: store.stop("pia-vs-multi-vea", at=START),
    ],
)
def test_an_unknown_key_names_the_nearest(store: Store, ask: Callable[[Store], object]) -> None:
    started(store)
    with pytest.raises(NotFoundError, match=rf"experiment 'pia-vs-multi-vea' is not launched; did you mean '{KEY}'\?"):
        ask(store)
