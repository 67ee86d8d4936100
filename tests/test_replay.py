"""Replay: through the serving path into the store, resumable, with a truth that is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ab_platform import replay as replay_module
from ab_platform.analysis import analyze, truths
from ab_platform.errors import ExperimentError
from ab_platform.experiment import RampStep
from ab_platform.lineage import Launch, own_time
from ab_platform.replay import Replayed, entering, replay
from ab_platform.serving import impressions, place
from ab_platform.storage.store import Population, Store
from ab_platform.viewer import Viewer
from tests.worlds import START, USERS, experiment, launch, population, register, server

KEY = experiment().key


def run(store: Store, *, seed: int = 0, viewer: Viewer | None = None, stop_after: int | None = None) -> Replayed:
    launched = launch()
    register(store, launched)

    def progress(done: int, total: int) -> None:
        assert 0 < done <= total
        if stop_after is not None and done >= stop_after:
            raise KeyboardInterrupt

    return replay(
        store,
        server(launched, store=store),
        population(),
        viewer=viewer or Viewer(),
        seed=seed,
        at=START,
        progress=progress,
    )


def test_every_user_of_the_experiment_is_replayed_under_both_arms(store: Store) -> None:
    done = run(store)
    assert (done.users, done.users_before) == (len(USERS), 0)
    assert done.events_stored > 0
    assert {(each.surface, each.arm) for each in store.outcomes(KEY)} == {
        (surface, arm) for surface in ("home_card", "movie_card") for arm in ("head", "tail")
    }
    assert all(len(each.users) == len(USERS) for each in store.outcomes(KEY))


def test_a_second_replay_changes_nothing(store: Store) -> None:
    run(store)
    before = store.outcomes(KEY)
    again = run(store)
    assert (again.events_stored, again.users_before) == (0, len(USERS))
    assert str(store.outcomes(KEY)) == str(before)


def test_a_replay_that_was_cut_short_goes_on_and_ends_the_same(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "USERS_AT_ONCE", 64)
    with pytest.raises(KeyboardInterrupt):
        run(store, stop_after=128)
    assert run(store).users_before == 128
    run(other_store)
    assert analyze(store, KEY) == analyze(other_store, KEY)


def test_the_outcome_of_a_user_does_not_depend_on_who_else_is_replayed(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store)
    monkeypatch.setattr(replay_module, "USERS_AT_ONCE", 7)
    run(other_store)
    assert str(store.outcomes(KEY)) == str(other_store.outcomes(KEY))


def test_what_is_rolled_up_of_a_user_is_the_outcome_under_the_assigned_arm(store: Store) -> None:
    run(store)
    found = analyze(store, KEY)
    for row in found.lifts:
        for arm, users, numerator in (
            ("head", row.users_control, row.numerator_control),
            ("tail", row.users_treatment, row.numerator_treatment),
        ):
            [outcome] = [each for each in store.outcomes(KEY) if (each.surface, each.arm) == (row.surface, arm)]
            assigned = [server().recommend(user, "home_card", at=START).arm == arm for user in outcome.users]
            exposed = (outcome.impressions > 0) & assigned
            assert exposed.sum() == users
            if row.metric == "play_duration":
                assert outcome.watch_seconds[exposed].sum() == pytest.approx(numerator, abs=1e-6)


def test_the_true_lift_is_positive_where_the_treatment_shows_what_is_liked(store: Store) -> None:
    run(store)
    known = truths(experiment(), store.outcomes(KEY), [])
    home = [truth for truth in known if truth.surface == "home_card"]
    assert len(known) == 6
    assert all(truth.lift is not None and truth.lift > 0.5 for truth in home)


def test_another_seed_or_viewer_on_the_same_experiment_is_refused(store: Store) -> None:
    run(store)
    with pytest.raises(ExperimentError, match="repeat it with the same viewer and seed, or launch under a new key"):
        run(store, seed=1)
    with pytest.raises(ExperimentError, match="was replayed with"):
        run(store, viewer=Viewer(attention=0.5))


RAMPED = replace(experiment(), ramp=(RampStep(0.2, 1), RampStep(0.5, 2)))


def ramped_launch(store: Store) -> Launch:
    """Launch an experiment whose ramp took place on its calendar."""
    register(store, replace(launch(RAMPED), traffic=0.2))
    store.ramp(KEY, 0.5, at=START + timedelta(days=1))
    store.ramp(KEY, 1.0, at=START + timedelta(days=3))
    return store.experiment(KEY)


def play(store: Store, launched: Launch, *, until: datetime | None = None) -> Replayed:
    return replay(
        store,
        server(launched, store=store),
        population(),
        viewer=Viewer(),
        seed=0,
        at=START,
        until=until,
    )


def test_a_user_whom_the_ramp_lets_in_later_makes_no_visit_before(store: Store) -> None:
    launched = ramped_launch(store)
    play(store, launched)
    entries = entering(launched, store.changes(KEY), USERS)
    assert [len(users) for users in entries.values()] == [
        sum(place(replace(launched, traffic=high), user).arm_index is not None for user in USERS)
        - sum(place(replace(launched, traffic=low), user).arm_index is not None for user in USERS)
        for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0))
    ]
    store.roll_up()
    by_day = store.exposed_by_day(Population(KEY, START.date() + timedelta(days=7), "small"))
    first = {day: sum(each.users for each in by_day if each.day <= day.date()) for day in (START, START + timedelta(2))}
    inside = list(map(len, entries.values()))
    assert 0 < first[START] <= 2 * inside[0]  # each user on two surfaces at most
    assert first[START] < first[START + timedelta(2)] <= 2 * (inside[0] + inside[1])


def test_parts_of_a_replay_add_up_to_the_whole(store: Store, other_store: Store) -> None:
    play(store, ramped_launch(store))
    launched = ramped_launch(other_store)
    middle = START + timedelta(days=2, hours=5)
    parts = [
        play(other_store, launched, until=until).events_stored
        for until in (middle, middle, START + timedelta(days=1), None, None)
    ]
    assert parts[0] > 0 < parts[3]
    assert (parts[1], parts[2], parts[4]) == (0, 0, 0)
    assert analyze(store, KEY) == analyze(other_store, KEY)


def test_what_users_do_under_every_arm_is_known_when_the_last_day_is_replayed(store: Store) -> None:
    launched = ramped_launch(store)
    play(store, launched, until=START + timedelta(days=3))
    assert store.outcomes(KEY) == ()
    play(store, launched)
    assert all(len(each.users) == len(USERS) for each in store.outcomes(KEY))


def test_the_time_of_a_replayed_experiment_is_how_far_its_replay_has_come(store: Store) -> None:
    launched = ramped_launch(store)
    now = START + timedelta(days=90)
    assert own_time(launched, store.changes(KEY), now) == now
    play(store, launched, until=START + timedelta(days=3))
    assert own_time(launched, store.changes(KEY), now) == START + timedelta(days=3)
    play(store, launched, until=START + timedelta(days=1))
    assert own_time(launched, store.changes(KEY), now) == START + timedelta(days=3)


def test_an_experiment_with_visits_of_its_own_is_not_replayed(store: Store) -> None:
    launched = launch()
    register(store, launched)
    live = server(launched, store=store)
    store.record(impressions(live.recommend(USERS[0], "home_card", at=START)))
    with pytest.raises(ExperimentError, match="has 1 users with visits of its own"):
        run(store)
