from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from ab_platform.access import Token, mint
from ab_platform.events import Surface, event_id
from ab_platform.lineage import Launch
from ab_platform.service.roster import Clock, Roster, Standing
from ab_platform.service.rules import Code, Refusal, Rules, place
from tests.worlds import START, TITLES, experiment, launch

NOW = START + timedelta(hours=12)
KEY = "tail-vs-head"
NAMES = {"small": dict.fromkeys(TITLES, "a name")}


def roster(*launches: Launch, clock: Clock = "live", erased: dict[str, datetime] | None = None) -> Roster:
    standing = [Standing(each, clock) for each in launches or (launch(),)]
    return Roster(1, {each.key: each for each in standing}, {}, erased or {}, NOW)


@dataclass(frozen=True)
class Told:
    experiment: str
    user_id: str
    surface: Surface
    at: datetime
    arm: str | None
    title_id: str | None
    event_id: UUID | None


def told(
    user_id: str = "user0001", at: datetime = NOW, *, arm: str | None = None, title_id: str | None = "t01"
) -> Told:
    return Told(KEY, user_id, "home_card", at, arm, title_id, None)


def judged(event: Told, known: Roster | None = None, token: Token | None = None) -> str | Refusal:
    return Rules(known or roster(), NAMES, token=token, at=NOW).arm_of(event, event.user_id)


def refused(event: Told, known: Roster | None = None, token: Token | None = None) -> Code:
    found = judged(event, known, token)
    assert isinstance(found, Refusal), f"it was taken, for arm {found}"
    return found.code


def a_token(*experiments: str) -> Token:
    token, _ = mint("tv", frozenset({"events"}), at=NOW, secret=bytes(32), experiments=frozenset(experiments))
    return token


def test_an_event_is_kept_under_the_user_s_own_arm() -> None:
    standing = Standing(launch(), "live")
    for number in range(50):
        index = place(standing, f"user{number:04}")
        assert index is not None
        assert judged(told(f"user{number:04}")) == standing.launch.experiment.arms[index].name


def test_an_event_of_another_arm_than_the_user_s_is_refused() -> None:
    arm = judged(told())
    other = "tail" if arm == "head" else "head"
    assert refused(told(arm=other)) == "other_arm"


def test_an_event_of_an_experiment_that_is_not_launched_is_refused() -> None:
    assert refused(replace(told(), experiment="nowhere")) == "unknown_experiment"


def test_an_experiment_that_the_token_is_not_for_looks_as_if_it_were_not_there() -> None:
    unknown = judged(replace(told(), experiment="nowhere"), token=a_token("other"))
    hidden = judged(told(), token=a_token("other"))
    assert isinstance(unknown, Refusal)
    assert isinstance(hidden, Refusal)
    assert hidden.reason == unknown.reason.replace("nowhere", KEY)
    assert judged(told(), token=a_token(KEY)) in {"head", "tail"}


def test_an_event_on_a_surface_that_the_experiment_leaves_alone_is_refused() -> None:
    home_only = launch(replace(experiment(), surfaces=("home_card",)))
    assert refused(replace(told(), surface="movie_card"), roster(home_only)) == "surface_not_served"


@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(minutes=5)])
def test_a_clock_that_is_a_little_ahead_is_forgiven(ahead: timedelta) -> None:
    assert isinstance(judged(told(at=NOW + ahead)), str)


def test_a_time_that_has_not_come_is_refused() -> None:
    assert refused(told(at=NOW + timedelta(minutes=5, seconds=1))) == "future"


def test_replayed_visits_may_lie_ahead() -> None:
    assert isinstance(judged(told(at=NOW + timedelta(days=3)), roster(clock="replayed")), str)


def test_what_happened_before_the_start_is_refused() -> None:
    assert refused(told(at=START - timedelta(seconds=1))) == "before_start"


def test_a_title_that_the_data_set_does_not_have_is_refused() -> None:
    assert refused(told(title_id="t99")) == "unknown_title"


def test_where_the_titles_are_not_known_every_title_is_taken() -> None:
    assert isinstance(Rules(roster(), {}, token=None, at=NOW).arm_of(told(title_id="t99"), "user0001"), str)


def test_replayed_visits_end_with_the_planned_days() -> None:
    beyond = launch().ends_at + timedelta(seconds=1)
    assert refused(told(at=beyond), roster(clock="replayed")) == "future"


def test_an_id_that_is_random_or_of_another_time_is_refused() -> None:
    four = UUID("f47ac10b-58cc-4372-a567-0e02b2c3d479")
    assert refused(replace(told(), event_id=four)) == "event_id"
    for far in (timedelta(days=-2), timedelta(days=365 * 5000)):
        assert refused(replace(told(), event_id=event_id(NOW + far, "x"))) == "event_id"
    assert isinstance(judged(replace(told(), event_id=event_id(NOW, "x"))), str)


def test_a_user_outside_the_experiment_is_refused() -> None:
    nobody = launch(replace(experiment(), layer_buckets=(0, 1)))
    assert refused(told(), roster(nobody)) == "not_in_experiment"


def test_an_experiment_that_was_ramped_down_or_stopped_still_takes_what_was_on_its_way() -> None:
    down = replace(launch(), traffic=0.0)
    stopped = replace(launch(), state="stopped", stopped_at=NOW)
    assert judged(told(), roster(down)) == judged(told(), roster(stopped)) == judged(told())


def test_what_a_user_did_before_the_erasure_is_refused_and_what_came_after_is_taken() -> None:
    erased = {hashlib.sha256(b"user0001").hexdigest(): NOW - timedelta(hours=1)}
    known = roster(erased=erased)
    assert refused(told(at=NOW - timedelta(hours=2)), known) == "erased"
    assert isinstance(judged(told(at=NOW), known), str)
    assert isinstance(judged(told("user0002", at=NOW - timedelta(hours=2)), known), str)


def test_every_refusal_says_the_value_found() -> None:
    found = judged(told(title_id="t99"))
    assert isinstance(found, Refusal)
    assert "'t99'" in found.reason
    assert "small" in found.reason
