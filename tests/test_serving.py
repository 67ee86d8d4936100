"""Serving: slates by assigned arm, never a seen title, popularity where an arm fails."""

from dataclasses import replace

import pytest

from ab_platform.assignment import assign
from ab_platform.errors import EventError
from ab_platform.serving import Histories, Request, impressions
from tests.worlds import START, TITLES, USERS, experiment, launch, server


def assigned(user: str, traffic: float = 1.0) -> str | None:
    defined = experiment()
    placement = assign(
        user,
        layer_salt=defined.layer,
        layer_start=0,
        layer_end=10_000,
        experiment_salt=defined.salt,
        ranges=defined.ranges(traffic),
    )
    return None if placement.arm_index is None else defined.arms[placement.arm_index].name


def test_home_card_is_the_slate_of_the_assigned_arm() -> None:
    serving = server()
    for user in USERS[:20]:
        slate = serving.recommend(user, "home_card", at=START)
        assert slate.arm == slate.served_by == assigned(user)
        assert slate.title_ids == (TITLES[:5] if slate.arm == "head" else TITLES[:-6:-1])


def test_seen_titles_never_come_back() -> None:
    serving = server()
    serving.histories.add("user0000", "t00")
    serving.histories.add("user0000", "t39")
    assert {"t00", "t39"}.isdisjoint(serving.recommend("user0000", "home_card", at=START).title_ids)


def test_a_movie_card_leaves_out_its_own_title() -> None:
    [slate] = server().slates("head", [Request("new", "movie_card", START, "t01")])
    assert slate.title_ids == ("t00", "t02", "t03", "t04", "t05")


def test_a_new_user_gets_the_arms_answer_for_an_empty_history() -> None:
    [slate] = server().slates("tail", [Request("never seen", "home_card", START)])
    assert (slate.served_by, slate.title_ids[0]) == ("tail", "t39")


def test_a_failing_arm_is_replaced_by_popularity_and_the_user_stays_in_the_arm() -> None:
    [slate] = server(failing=["tail"]).slates("tail", [Request("u", "home_card", START)])
    assert (slate.arm, slate.served_by, slate.title_ids[0]) == ("tail", "popularity", "t20")
    assert {event.served_by for event in impressions(slate)} == {"popularity"}
    assert {event.arm for event in impressions(slate)} == {"tail"}


def test_a_user_who_is_not_in_gets_the_control_and_makes_no_events() -> None:
    serving = server(replace(launch(), traffic=0.0))
    slate = serving.recommend("user0000", "home_card", at=START)
    assert (slate.arm, slate.served_by) == (None, "head")
    assert impressions(slate) == []


def test_a_surface_the_experiment_leaves_alone_is_served_by_the_control() -> None:
    launched = launch(replace(experiment(), surfaces=("home_card",)))
    requests = [Request("u", "movie_card", START, "t01"), Request("u", "home_card", START)]
    movie_card, home_card = server(launched).slates("tail", requests)
    assert (movie_card.arm, movie_card.served_by) == (None, "head")
    assert (home_card.arm, home_card.served_by) == ("tail", "tail")


def test_a_ramp_moves_nobody_to_another_arm() -> None:
    for user in USERS:
        assert assigned(user, traffic=0.2) in (None, assigned(user))


def test_many_requests_at_once_get_what_each_would_get_alone() -> None:
    histories = Histories({"a": ["t00"], "b": ["t39", "t38"], "c": []})
    requests = [Request(user, "home_card", START) for user in "abc"]
    together = server().slates("tail", requests, histories)
    alone = [server().slates("tail", [request], histories)[0] for request in requests]
    assert together == alone


def test_titles_that_run_out_make_a_shorter_slate() -> None:
    histories = Histories({"u": list(TITLES[:37])})
    [slate] = server().slates("head", [Request("u", "home_card", START)], histories)
    assert slate.title_ids == TITLES[37:]


def test_titles_unknown_to_the_arm_are_left_out_of_what_it_is_shown() -> None:
    histories = Histories({"u": ["not in the catalogue"]})
    [slate] = server().slates("head", [Request("u", "home_card", START)], histories)
    assert slate.served_by == "head"


def test_a_retry_of_a_request_makes_the_same_events() -> None:
    requests = [Request("u", "home_card", START)]
    first, second = server().slates("head", requests), server().slates("head", requests)
    assert impressions(first[0]) == impressions(second[0])


def test_a_movie_card_without_its_title_is_refused() -> None:
    with pytest.raises(EventError, match="movie_card needs one, home_card takes none"):
        Request("u", "movie_card", START)


def test_recording_without_a_store_says_so() -> None:
    with pytest.raises(EventError, match="5 events have nowhere to go; give the server a store"):
        server().record(impressions(server().slates("head", [Request("u", "home_card", START)])[0]))
