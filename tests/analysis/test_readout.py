"""Analysis: user-days to lifts, stored by day, the same to the last digit when computed again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import islice

import pytest

from ab_platform.analysis import analyze, readout
from ab_platform.errors import NotFoundError
from ab_platform.events import AnyEvent, Click, Watch, event_id
from ab_platform.serving import Request, impressions
from ab_platform.storage.store import Store
from tests.worlds import START, experiment, launch, register, server

KEY = experiment().key


def visit(user: str, *, days: int = 0, clicks: Sequence[int] = (), seconds: float = 0.0) -> list[AnyEvent]:
    """Return a Home Card visit of a user, with clicks at some positions and a watch after each."""
    serving = server()
    arm = serving.recommend(user, "home_card", at=START).arm
    assert arm is not None
    [slate] = serving.slates(arm, [Request(user, "home_card", START + timedelta(days=days))])
    shown = impressions(slate)
    events: list[AnyEvent] = [*shown]
    for place in clicks:
        seen = shown[place]
        at = seen.at + timedelta(seconds=10)
        common = (KEY, user, arm, seen.surface, seen.title_id, at)
        events.append(Click(event_id(at, f"{seen.event_id}/click"), *common, seen.event_id))
        events.append(Watch(event_id(at, f"{seen.event_id}/watch"), *common, seen.event_id, seconds))
    return events


def users_of(arm: str, count: int) -> list[str]:
    serving = server()
    found = (f"someone{number}" for number in range(10_000))
    return list(islice((user for user in found if serving.recommend(user, "home_card", at=START).arm == arm), count))


@pytest.fixture
def small(store: Store) -> Store:
    """Two users in control who watch 10 and 20 s, three in treatment who watch 30, 40 and 0 s."""
    register(store, launch())
    control, treatment = users_of("head", 2), users_of("tail", 3)
    store.record(visit(control[0], clicks=[0], seconds=10.0))
    store.record(visit(control[1], clicks=[1], seconds=20.0))
    store.record(visit(treatment[0], clicks=[0, 1], seconds=15.0))
    store.record(visit(treatment[1], clicks=[2], seconds=40.0, days=2))
    store.record(visit(treatment[2]))
    return store


def test_the_six_rows_are_the_totals_over_the_users_exposed(small: Store) -> None:
    found = {(row.surface, row.metric): row for row in analyze(small, KEY).lifts}
    assert len(found) == 6
    play = found["home_card", "play_duration"]
    assert (play.users_control, play.users_treatment) == (2, 3)
    assert play.control == 15.0
    assert play.treatment == pytest.approx(70 / 3)
    assert play.lift == pytest.approx(70 / 3 / 15 - 1)
    per_view = found["home_card", "click_rate_per_view"]
    assert (per_view.numerator_treatment, per_view.denominator_treatment) == (3.0, 15.0)
    per_user = found["home_card", "click_rate_per_user"]
    assert per_user.control == 1.0
    assert per_user.treatment == pytest.approx(2 / 3)


def test_a_surface_nobody_reached_has_reasons_instead_of_numbers(small: Store) -> None:
    rows = [row for row in analyze(small, KEY).lifts if row.surface == "movie_card"]
    assert [(row.control, row.lift, row.p_value) for row in rows] == [(None, None, None)] * 3
    assert all(row.reason for row in rows)


def test_computed_again_the_digits_are_the_same(small: Store) -> None:
    assert analyze(small, KEY) == analyze(small, KEY) == readout(small, KEY)


def test_as_of_a_day_later_events_do_not_count(small: Store) -> None:
    analyze(small, KEY)
    first_day = analyze(small, KEY, as_of=date(2026, 3, 1))
    play = first_day.lifts[0]
    assert (play.users_treatment, play.treatment) == (2, 15.0)
    assert readout(small, KEY).as_of == date(2026, 3, 3)
    assert readout(small, KEY, as_of=date(2026, 3, 1)) == first_day


def test_a_late_event_changes_the_day_it_belongs_to(small: Store) -> None:
    before = analyze(small, KEY, as_of=date(2026, 3, 1)).lifts[0]
    late = visit(users_of("head", 3)[2], clicks=[0], seconds=60.0)
    small.record(late)
    after = analyze(small, KEY, as_of=date(2026, 3, 1)).lifts[0]
    assert (before.control, after.control) == (15.0, 30.0)


def test_the_sample_ratio_is_checked_overall_and_per_surface(small: Store) -> None:
    checks = {row.scope: row for row in analyze(small, KEY).sample_ratios}
    assert list(checks) == ["all", "home_card", "movie_card"]
    assert checks["all"].arms == ("head", "tail")
    assert checks["all"].counts == (2, 3)
    assert checks["movie_card"].p_value is None
    assert checks["movie_card"].reason


def test_an_experiment_without_events_says_the_next_step(store: Store) -> None:
    register(store, launch())
    with pytest.raises(NotFoundError, match=f"no events that count yet; replay visits: `abp replay {KEY}`"):
        analyze(store, KEY)


def test_a_readout_before_the_analysis_says_the_next_step(small: Store) -> None:
    with pytest.raises(NotFoundError, match=f"is not analysed yet; run `abp analyze {KEY}`"):
        readout(small, KEY)


def test_without_a_replay_there_is_no_truth(small: Store) -> None:
    assert analyze(small, KEY).truths == ()
