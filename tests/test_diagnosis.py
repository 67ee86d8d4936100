"""`abp srm diagnose` on worlds whose trouble is known: what is wrong, how much of it, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from ab_platform.diagnosis import Diagnosis, diagnose
from ab_platform.diagnosis.expectation import Expectation
from ab_platform.diagnosis.localising import dimension_of, find_loss
from ab_platform.diagnosis.rehashing import Counted
from ab_platform.errors import ExperimentError, NotFoundError
from ab_platform.events import Impression, Surface, event_id
from ab_platform.lineage import Change
from ab_platform.serving import place
from ab_platform.storage.store import Store, open_store
from tests.analysis.made import DATASET, KEY, START, definition, launched
from tests.split_worlds import DEVICES, day, ingested, launch, lost_on_tv, record, shown, three_arms, visitors


def dimension(found: Diagnosis, name: str) -> dict[str, bool]:
    [looked] = (each for each in found.dimensions if each.dimension == name)
    return {each.segment: each.alarm for each in looked.segments}


@pytest.fixture(params=["sqlite", "postgresql"])
def either_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store on each engine."""
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    opened = open_store(url, migrate=False)
    yield opened
    opened.close()


def test_a_sound_split_is_sound_and_says_what_loss_would_have_been_found(store: Store) -> None:
    record(store, visitors(launch(store), 4_000))
    found = diagnose(store, KEY)
    assert found.verdict == "sound"
    assert found.conclusion.startswith("split is sound: all 4,000 exposed users are in the arm of their hash")
    assert found.detectable_loss == pytest.approx(0.123, abs=0.001)
    assert (found.wrong_users, found.mixed_users, found.loss, found.moved, found.places) == (0, 0, None, (), ())
    assert found.recorded == found.splits[0].counts
    assert [each.dimension for each in found.dimensions] == ["day", "surface", "device"]
    assert not any(each.alarm for each in found.dimensions)


def test_users_recorded_under_the_other_arm_are_counted_exactly_and_are_no_loss(either_store: Store) -> None:
    store = either_store
    came = visitors(launch(store), 4_000)
    # 3 % of all, every one of them on a TV.
    wrong = {each.user for each in [each for each in came if each.device == "tv"][:120]}
    swapped = {"old": "new", "new": "old"}
    record(store, [replace(each, arm=swapped[each.arm]) if each.user in wrong else each for each in came])
    found = diagnose(store, KEY)
    assert found.verdict == "wrong assignment"
    assert found.conclusion == (
        "wrong assignment: 120 of 4,000 exposed users (3 %) are not where their hash puts them, "
        "100 % of them on device=tv"
    )
    moved = {(each.recorded, each.hashed): each.users for each in found.moved}
    truly = [each.arm for each in came if each.user in wrong]
    assert moved == {("new", "old"): truly.count("old"), ("old", "new"): truly.count("new")}
    assert found.loss is None
    assert not found.splits[0].alarm
    [mostly] = found.places
    assert (mostly.dimension, mostly.segment, mostly.wrong) == ("device", "tv", 120)
    assert "look at what serves device=tv" in found.next_step
    example = found.moved[0].examples[0]
    assert example in wrong
    assert f"abp assign {KEY} {example}" in found.next_step


def test_when_wrong_users_were_first_and_last_seen_is_told(store: Store) -> None:
    came = visitors(launch(store), 2_000)
    swapped = {"old": "new", "new": "old"}
    record(store, [replace(each, arm=swapped[each.arm]) if each.day in (3, 4) else each for each in came])
    found = diagnose(store, KEY)
    assert {(each.first_seen, each.last_seen) for each in found.moved} == {(day(4), day(5))}
    assert {each.segment for each in found.places if each.dimension == "day"} == {str(day(4)), str(day(5))}
    both = rf"day=({day(4)} and {day(5)}|{day(5)} and {day(4)})"
    assert re.search(rf", 100 % of them on {both}$", found.conclusion)


def test_as_many_wrong_users_as_another_salt_would_give_are_called_that(store: Store) -> None:
    standing = launch(store)
    other = replace(standing, experiment=replace(standing.experiment, salt="another"))
    record(store, visitors(other, 2_000))
    found = diagnose(store, KEY)
    assert found.verdict == "wrong assignment"
    assert 0.45 < found.wrong_users / found.users < 0.55
    assert found.next_step.startswith("that many are what an unrelated hash would give (50 %): compare the salts")


def test_a_loss_in_one_arm_on_one_device_on_some_days_is_found_there_and_estimated(either_store: Store) -> None:
    store = either_store
    came = visitors(launch(store), 12_000)
    gone = lost_on_tv(came, days=(3, 4, 5), share=0.8)
    record(store, came, lost=lambda each, surface: each.user in gone)
    found = diagnose(store, KEY)
    assert found.verdict == "lost logging"
    loss = found.loss
    assert loss is not None
    assert (loss.arm, loss.dimension, loss.segments) == ("new", "device", ("tv",))
    assert (loss.since, loss.until) == (day(3), day(5))
    assert abs(loss.missing - len(gone)) < 3 * loss.standard_error
    assert loss.standard_error < 0.15 * len(gone)
    assert found.conclusion == (
        f"lost logging in arm new on device=tv from {day(3)} to {day(5)}: about {loss.missing:.0f} users missing"
    )
    assert (found.wrong_users, found.mixed_users) == (0, 0)


def test_days_of_a_loss_too_small_to_show_among_all_users_are_found_among_those_who_carry_it() -> None:
    # 10,000 users of each arm a day, and 150 on a TV, of whom the new arm loses 100 on days 3 and 4 each.
    phone = np.full((7, 2), 10_000)
    tv = np.full((7, 2), 150)
    tv[2:4, 1] = 50
    surfaces: dict[Surface, NDArray[np.int64]] = {"home_card": phone + tv}
    counted = Counted(
        users=int((phone + tv).sum()),
        mixed=0,
        recorded=(phone + tv).sum(axis=0),
        placed={"day": {"": phone + tv}, "device": {"phone": phone, "tv": tv}},
        surfaces=surfaces,
        surface_sets=(phone + tv).sum(axis=0)[None],
        moved=(),
        wrong={},
    )
    expected = Expectation(("old", "new"), tuple(day(number) for number in range(1, 8)), np.full((7, 2), 5_000))
    looked = [dimension_of(counted, name, expected, segments=10, dimensions=2) for name in ("day", "device")]
    assert [each.differs for each in looked] == [False, True]
    loss = find_loss(counted, looked, expected, even=True)
    assert loss is not None
    assert (loss.arm, loss.segments, loss.since, loss.until) == ("new", ("tv",), day(3), day(4))
    assert loss.missing == pytest.approx(200.0)


def test_a_loss_up_to_the_last_day_goes_on(store: Store) -> None:
    came = visitors(launch(store), 12_000)
    gone = lost_on_tv(came, days=(5, 6, 7), share=0.9)
    record(store, came, lost=lambda each, surface: each.user in gone)
    assert f"on device=tv from {day(5)} on: about" in diagnose(store, KEY).conclusion


def test_as_of_a_day_before_the_loss_the_split_is_sound(store: Store) -> None:
    came = visitors(launch(store), 12_000)
    gone = lost_on_tv(came, days=(5, 6, 7), share=0.9)
    record(store, came, lost=lambda each, surface: each.user in gone)
    found = diagnose(store, KEY, as_of=day(4))
    assert (found.verdict, found.as_of, found.users) == ("sound", day(4), sum(each.day < 4 for each in came))


def test_a_loss_everywhere_alike_names_the_arm_and_no_place(store: Store) -> None:
    came = visitors(launch(store), 6_000)
    gone = {each.user for each in came if each.arm == "old" and each.number % 5 == 0}
    record(store, came, lost=lambda each, surface: each.user in gone)
    loss = diagnose(store, KEY).loss
    assert loss is not None
    assert (loss.arm, loss.dimension, loss.since, loss.until) == ("old", None, None, None)
    assert abs(loss.missing - len(gone)) < 3 * loss.standard_error


def test_of_three_arms_the_one_that_lost_users_is_named(store: Store) -> None:
    came = visitors(launch(store, three_arms(0.5, 0.25, 0.25)), 8_000)
    gone = {each.user for each in came if (each.arm, each.device) == ("newer", "phone") and each.number % 2}
    record(store, came, lost=lambda each, surface: each.user in gone)
    loss = diagnose(store, KEY).loss
    assert loss is not None
    assert (loss.arm, loss.dimension, loss.segments) == ("newer", "device", ("phone",))
    assert abs(loss.missing - len(gone)) < 3 * loss.standard_error


def test_users_of_lost_days_who_come_back_later_are_told(store: Store) -> None:
    came = visitors(launch(store), 12_000)
    gone = lost_on_tv(came, days=(2, 3), share=0.9)
    late = [replace(each, day=4 + each.number % 3) for each in came if each.user in gone]
    record(store, [*(each for each in came if each.user not in gone), *late])
    loss = diagnose(store, KEY).loss
    assert loss is not None
    assert (loss.arm, loss.segments, loss.since, loss.until) == ("new", ("tv",), day(2), day(3))
    assert abs(loss.missing - len(gone)) < 3 * loss.standard_error
    assert loss.seen_later == pytest.approx(len(gone), abs=60)


def test_a_loss_on_one_surface_may_be_the_arms_own_doing(store: Store) -> None:
    came = visitors(launch(store), 6_000)
    record(
        store, came, lost=lambda each, surface: surface == "movie_card" and each.arm == "new" and each.number % 4 == 0
    )
    found = diagnose(store, KEY)
    loss = found.loss
    assert loss is not None
    assert (loss.arm, loss.dimension, loss.segments, loss.only_surface) == ("new", "surface", ("movie_card",), True)
    assert found.conclusion.startswith(
        "lost logging, or an arm that keeps users away, in arm new on surface=movie_card"
    )
    assert [each.alarm for each in found.splits] == [False, False, True]


def test_wrong_users_do_not_hide_a_loss(store: Store) -> None:
    came = visitors(launch(store), 6_000)
    gone = {each.user for each in came if each.arm == "new" and each.device == "web" and each.number % 2}
    record(
        store,
        [replace(each, arm="new") if each.number < 50 else each for each in came],
        lost=lambda each, surface: each.user in gone and each.number >= 50,
    )
    found = diagnose(store, KEY)
    assert found.verdict == "wrong assignment"
    assert found.wrong_users == sum(each.arm == "old" for each in came if each.number < 50)
    assert "; also lost logging in arm new on device=web" in found.conclusion


def test_users_outside_the_traffic_and_outside_the_slice_are_found(store: Store) -> None:
    standing = launch(store, definition(traffic=0.5, layer_buckets=(0, 8_000)))
    inside = visitors(standing, 4_000)
    record(store, inside)
    whole = replace(standing, traffic=1.0)
    late = [f"late-{number}" for number in range(400) if place(standing, f"late-{number}").arm_index is None]
    store.record([shown(user, "old", START + timedelta(days=1)) for user in late])
    found = diagnose(store, KEY)
    outside = {each.hashed: each.users for each in found.moved}
    in_slice = [user for user in late if place(whole, user).in_layer]
    assert outside == {"outside the traffic": len(in_slice), "outside the slice": len(late) - len(in_slice)}
    assert found.splits[0].counts == tuple(sum(each.arm == arm for each in inside) for arm in ("old", "new"))
    assert f"({len(late) - len(in_slice)} outside the slice, {len(in_slice)} outside the traffic)" in found.conclusion


def test_a_user_whom_a_ramp_let_in_later_was_outside_before_it_and_is_in_after(store: Store) -> None:
    standing = launch(store, definition(traffic=0.5))
    record(store, visitors(standing, 2_000))
    ramped = START + timedelta(days=3)
    store.ramp(KEY, 1.0, at=ramped)
    newly = [f"new-{number}" for number in range(60) if place(standing, f"new-{number}").arm_index is None]
    moments = [ramped - timedelta(hours=1), ramped + timedelta(hours=1), ramped - timedelta(seconds=60)]
    whole = replace(standing, traffic=1.0)
    events = []
    for number, user in enumerate(newly):
        index = place(whole, user).arm_index
        assert index is not None
        events.append(shown(user, standing.experiment.arms[index].name, moments[number % 3]))
    store.record(events)
    found = diagnose(store, KEY)
    # A minute before the ramp was written down some server may have known of it.
    assert found.wrong_users == len(newly[0::3])
    assert {each.hashed for each in found.moved} == {"outside the traffic"}


def test_replayed_visits_are_judged_by_the_highest_traffic(store: Store) -> None:
    standing = launch(store, definition(traffic=0.5))
    store.ramp(KEY, 1.0, at=START + timedelta(days=6))
    store.note(Change(KEY, START + timedelta(days=6), "replay", None, {"seed": 0}, None))
    record(store, visitors(replace(standing, traffic=1.0), 2_000))
    assert diagnose(store, KEY).verdict == "sound"


def test_a_holdout_is_no_trouble(store: Store) -> None:
    standing = launch(store, definition(traffic=0.1, layer_buckets=(2_000, 7_000)))
    record(store, visitors(standing, 20_000))
    found = diagnose(store, KEY)
    assert (found.verdict, found.moved) == ("sound", ())
    assert found.users < 0.06 * 20_000


def test_users_in_an_arm_of_weight_0_are_wrong(store: Store) -> None:
    came = visitors(launch(store, three_arms(0.5, 0.5, 0.0)), 2_000)
    record(store, [replace(each, arm="newer") if each.number < 9 else each for each in came])
    found = diagnose(store, KEY)
    assert (found.verdict, found.wrong_users) == ("wrong assignment", 9)
    assert {each.recorded for each in found.moved} == {"newer"}
    assert found.recorded[2] == 9
    assert found.splits[0].counts[2] == 0


def test_users_seen_in_several_arms_are_counted_apart(store: Store) -> None:
    came = visitors(launch(store), 2_000)
    record(store, came)
    other = {"old": "new", "new": "old"}
    twice = came[:7]
    store.record([shown(each.user, other[each.arm], START + timedelta(days=6, hours=23)) for each in twice])
    # One of them was seen in the wrong arm first.
    wrong_first = came[7]
    store.record([shown(wrong_first.user, other[wrong_first.arm], START)])
    found = diagnose(store, KEY)
    assert (found.verdict, found.mixed_users, found.wrong_users) == ("wrong assignment", 8, 0)
    assert found.conclusion == "wrong assignment: 8 users were seen in several arms"
    assert sum(found.recorded) == 1_992
    assert diagnose(store, KEY, as_of=day(6)).mixed_users == 1


@pytest.mark.parametrize("count", [1, 12, 100])
def test_too_few_users_are_unknown_and_not_sound(store: Store, count: int) -> None:
    record(store, visitors(launch(store), count))
    found = diagnose(store, KEY)
    assert found.verdict == "unknown"
    assert found.conclusion == f"unknown: too few users, {count}; from 154 on a loss of half of an arm's users is found"


def test_one_arm_of_positive_weight_has_no_ratio(store: Store) -> None:
    record(store, visitors(launch(store, three_arms(1.0, 0.0, 0.0)), 500))
    found = diagnose(store, KEY)
    assert found.verdict == "unknown"
    assert "fewer than 2 arms" in found.conclusion


def test_few_users_all_in_one_arm_are_a_loss_however_few(store: Store) -> None:
    came = visitors(launch(store), 60)
    record(store, [each for each in came if each.arm == "old"])
    assert diagnose(store, KEY).conclusion.startswith("lost logging in arm new: about")


def test_users_of_the_data_set_who_were_never_exposed_show_a_loss_that_the_ratio_does_not(store: Store) -> None:
    came = visitors(launch(store), 2_000)
    ingested(store, [each.user for each in came])
    # All of old and 97 % of new: far from enough for the ratio, and far too many for chance.
    gone = {each.user for each in came if each.arm == "new" and each.number % 33 == 0}
    record(store, [each for each in came if each.user not in gone])
    found = diagnose(store, KEY)
    assert not any(each.alarm for each in found.splits)
    assert found.exposure is not None
    assert found.exposure.assigned == tuple(sum(each.arm == arm for each in came) for arm in ("old", "new"))
    assert found.exposure.exposed[0] == found.exposure.assigned[0]
    assert found.exposure.alarm
    assert found.loss is not None
    assert (found.loss.arm, round(found.loss.missing)) == ("new", len(gone))


def test_a_world_without_a_list_of_users_has_no_exposure_rate(store: Store) -> None:
    record(store, visitors(launch(store), 500))
    assert diagnose(store, KEY).exposure is None


def test_only_the_dimensions_asked_for_are_looked_at_and_a_cohort_is_a_day(store: Store) -> None:
    record(store, visitors(launch(store), 500))
    found = diagnose(store, KEY, by=["cohort", "device"])
    assert [each.dimension for each in found.dimensions] == ["day", "device"]
    assert set(dimension(found, "device")) == set(DEVICES)
    with pytest.raises(ExperimentError, match=r"'devise' is neither day, surface nor .*did you mean 'device'"):
        diagnose(store, KEY, by=["devise"])


def test_users_of_whom_nothing_is_stored_are_a_segment_of_their_own(store: Store) -> None:
    came = visitors(launch(store), 500)
    record(store, came)
    store.write_attributes(DATASET, "country", [(each.user, "fr") for each in came[:200]])
    assert set(dimension(diagnose(store, KEY), "country")) == {"fr", "unknown"}


def test_an_attribute_of_too_many_values_is_left_out_and_told(store: Store) -> None:
    came = visitors(launch(store), 500)
    record(store, came)
    store.write_attributes(DATASET, "score", [(each.user, str(each.number)) for each in came])
    found = diagnose(store, KEY)
    assert found.left_out == ("score has 500 values, more than 50",)
    with pytest.raises(ExperimentError, match="score' has 500 values; at most 50"):
        diagnose(store, KEY, by=["score"])


def test_interactions_are_looked_at_in_their_groups(store: Store) -> None:
    came = visitors(launch(store), 500)
    record(store, came)
    store.write_attributes(DATASET, "interactions", [(each.user, str(each.number)) for each in came])
    assert list(dimension(diagnose(store, KEY), "interactions")) == ["0-4", "100+", "11-50", "5-10", "51-100"]


def test_an_experiment_without_events_has_nothing_to_diagnose(store: Store) -> None:
    launch(store)
    with pytest.raises(NotFoundError, match="no events that count yet"):
        diagnose(store, KEY)
    with pytest.raises(NotFoundError, match="is not launched"):
        diagnose(store, "nothing")


def test_healthy_experiments_alarm_rarely(store: Store) -> None:
    # 40 experiments at a chance of at most .004 each: two or more with a chance of .011.
    wrong = 0
    for number in range(40):
        defined = definition(f"healthy-{number}")
        standing = launched(store, defined)
        rng = np.random.default_rng(number)
        events = []
        for user in range(300):
            index = place(standing, f"u{number}-{user}").arm_index
            assert index is not None
            at = START + timedelta(seconds=int(rng.integers(0, 7 * 86_400)))
            key = defined.key
            identity = event_id(at, f"{key}/{user}")
            arm = standing.experiment.arms[index].name
            name = f"u{number}-{user}"
            events.append(Impression(identity, key, name, arm, "home_card", "t1", at, UUID(int=7), 0, arm))
        store.record(events)
        wrong += diagnose(store, defined.key).verdict != "sound"
    assert wrong <= 1
