"""Slates under load: together where they wait together, in time always, none lost; and the same as in process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ab_platform.errors import DataError
from ab_platform.service.slates import Made, Slates
from ab_platform.serving import Histories, Request, Server, Slate
from models.interactions import Interactions
from models.recommender import FitOptions, Recommender, top
from models.registry import create, default_config
from tests.worlds import START, TITLES, InOrder, experiment, launch, server

HOME = Request("u", "home_card", START)


class Held(InOrder):
    """A fake arm that scores only when it is let; it keeps how many histories came in each call."""

    def __init__(self, best_first: Sequence[str] = TITLES) -> None:
        super().__init__(best_first)
        self.entered, self.let = threading.Semaphore(0), threading.Semaphore(0)
        self.calls = 0

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        self.calls += 1
        self.entered.release()
        assert self.let.acquire(timeout=20)
        return super().score(histories)


class Watching(Server):
    """A server that keeps how many requests came in each call."""

    def __init__(self, head: Recommender) -> None:
        arms: dict[str, Recommender] = {"head": head, "tail": InOrder(TITLES[::-1])}
        super().__init__(launch(), arms, fallback=InOrder([*TITLES[20:], *TITLES[:20]]), histories=Histories())
        self.sizes: list[tuple[str | None, int]] = []

    def scored(self, arm: str | None, requests: Sequence[Request], histories: Sequence[Sequence[str]]) -> list[Slate]:
        self.sizes.append((arm, len(requests)))
        return super().scored(arm, requests, histories)


@pytest.fixture
def opened() -> Iterator[Callable[..., Slates]]:
    """Make slates that are stopped at the end."""
    made: list[Slates] = []

    def open_slates(*, deadline_ms: float = 20_000.0, most_waiting: int = 256, most_together: int = 32) -> Slates:
        slates = Slates(deadline_ms=deadline_ms, most_waiting=most_waiting, most_together=most_together)
        slates.start()
        made.append(slates)
        return slates

    yield open_slates
    for slates in made:
        slates.stop()


def requests(count: int) -> list[Request]:
    return [Request(f"u{number}", "home_card", START) for number in range(count)]


async def until(held: Held) -> None:
    """Wait until the thread is inside the arm."""
    assert await asyncio.to_thread(held.entered.acquire, timeout=20)


async def some(slates: Slates, serving: Server, count: int, arm: str = "head") -> list[asyncio.Task[Made]]:
    """Ask for slates, and return once all of them wait."""
    asked = [asyncio.create_task(slates.recommend(serving, each, arm, ())) for each in requests(count)]
    await asyncio.sleep(0)
    return asked


def test_a_slate_is_that_of_the_server(opened: Callable[..., Slates]) -> None:
    serving, slates = server(), opened()
    for arm, request in (
        ("head", HOME),
        ("tail", Request("v", "movie_card", START, "t01")),
        (None, HOME),
    ):
        made = asyncio.run(slates.recommend(serving, request, arm, ("t00", "t39")))
        histories = Histories({request.user_id: ["t00", "t39"]})
        assert [made.slate] == serving.slates(arm, [request], histories)
        assert made.reason == "arm"
        assert 0 < made.seconds < 20


def test_a_surface_the_experiment_leaves_alone_is_served_by_the_control(opened: Callable[..., Slates]) -> None:
    serving = server(launch(replace(experiment(), surfaces=("home_card",))))
    request = Request("u", "movie_card", START, "t01")
    made = asyncio.run(opened().recommend(serving, request, "tail", ()))
    assert (made.slate.arm, made.slate.served_by) == (None, "head")


def test_requests_that_wait_while_the_thread_is_busy_go_together(opened: Callable[..., Slates]) -> None:
    held, slates = Held(), opened()
    serving = Watching(held)

    async def ask() -> list[Made]:
        first = await some(slates, serving, 1)
        await until(held)
        waiting = await some(slates, serving, 7)
        for _ in range(2):
            held.let.release()
        return await asyncio.gather(*first, *waiting)

    made = asyncio.run(ask())
    assert serving.sizes == [("head", 1), ("head", 7)]
    assert [each.slate.request.user_id for each in made] == ["u0", *(f"u{number}" for number in range(7))]


def test_only_so_many_go_together_and_arms_take_turns(opened: Callable[..., Slates]) -> None:
    held, slates = Held(), opened(most_together=4)
    serving = Watching(held)

    async def ask() -> None:
        first = await some(slates, serving, 1)
        await until(held)
        waiting = [*await some(slates, serving, 6), *await some(slates, serving, 3, arm="tail")]
        for _ in range(3):
            held.let.release()
        await asyncio.gather(*first, *waiting)

    asyncio.run(ask())
    assert serving.sizes == [("head", 1), ("head", 4), ("tail", 3), ("head", 2)]


def test_one_user_twice_in_a_call_gets_a_slate_of_each_history(opened: Callable[..., Slates]) -> None:
    held, slates = Held(), opened()
    serving = Watching(held)

    async def ask() -> list[Made]:
        first = await some(slates, serving, 1)
        await until(held)
        twice = [slates.recommend(serving, HOME, "head", history) for history in (("t00",), ("t01",))]
        asked = asyncio.gather(*twice)
        await asyncio.sleep(0)
        for _ in range(2):
            held.let.release()
        await asyncio.gather(*first)
        return await asked

    one, other = asyncio.run(ask())
    assert serving.sizes[-1] == ("head", 2)
    assert (one.slate.title_ids[0], other.slate.title_ids[0]) == ("t01", "t00")


def test_past_the_deadline_popularity_serves_and_what_comes_late_is_thrown_away(opened: Callable[..., Slates]) -> None:
    held, slates = Held(), opened(deadline_ms=20.0)
    serving = Watching(held)

    async def ask() -> tuple[Made, Made]:
        late = await slates.recommend(serving, HOME, "head", ("t20",))
        behind = await slates.recommend(serving, HOME, "head", ())
        held.let.release()
        await asyncio.sleep(0.05)
        return late, behind

    late, behind = asyncio.run(ask())
    assert (late.reason, late.slate.arm, late.slate.served_by) == ("deadline", "head", "popularity")
    assert late.slate.title_ids == TITLES[21:26]
    assert 0.02 <= late.seconds < 10
    assert behind.slate.title_ids == TITLES[20:25]
    assert slates.late == 2
    slates.stop()
    assert held.calls == 1  # the second was given up before its turn


def test_when_too_many_wait_popularity_serves_at_once(opened: Callable[..., Slates]) -> None:
    held, slates = Held(), opened(most_waiting=3)
    serving = Watching(held)

    async def ask() -> tuple[Made, list[Made]]:
        waiting = await some(slates, serving, 3)
        refused = await slates.recommend(serving, HOME, "head", ())
        for _ in range(3):
            held.let.release()
        return refused, await asyncio.gather(*waiting)

    refused, made = asyncio.run(ask())
    assert refused.reason == "deadline"
    assert {each.reason for each in made} == {"arm"}


def test_a_failing_arm_is_replaced_counted_and_logged_once(
    opened: Callable[..., Slates], caplog: pytest.LogCaptureFixture
) -> None:
    serving, slates = server(failing=["tail"]), opened()
    with caplog.at_level(logging.ERROR):
        made = [asyncio.run(slates.recommend(serving, each, "tail", ("t20",))) for each in requests(5)]
    assert {(each.reason, each.slate.arm, each.slate.served_by) for each in made} == {("failed", "tail", "popularity")}
    assert slates.failures == 5
    assert [record.getMessage() for record in caplog.records] == ["arm tail of tail-vs-head failed; popularity serves"]
    histories = Histories({each.user_id: ["t20"] for each in requests(5)})
    assert [each.slate for each in made] == serving.slates("tail", requests(5), histories)


def test_an_arm_that_fails_again_after_a_minute_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    slates = Slates(clock=lambda: now[0])
    slates.start()
    serving = server(failing=["tail"])
    for seconds in (0.0, 59.0, 60.0):
        now[0] = seconds
        asyncio.run(slates.recommend(serving, HOME, "tail", ()))
    slates.stop()
    assert len(caplog.records) == 2


def test_an_arm_that_is_called_popularity_and_works_did_not_fail(opened: Callable[..., Slates]) -> None:
    defined = experiment()
    arms = (replace(defined.arms[0], name="popularity"), defined.arms[1])
    served: dict[str, Recommender] = {"popularity": InOrder(TITLES), "tail": InOrder(TITLES[::-1])}
    serving = Server(launch(replace(defined, arms=arms)), served, fallback=InOrder(TITLES), histories=Histories())
    assert asyncio.run(opened().recommend(serving, HOME, "popularity", ())).reason == "arm"


def test_where_popularity_fails_too_the_caller_is_told(opened: Callable[..., Slates]) -> None:
    class Gone(InOrder):
        def score(self, histories: csr_matrix) -> NDArray[np.float32]:
            raise DataError("the artifact is missing")

    serving = Server(launch(), {"head": Gone(TITLES)}, fallback=Gone(TITLES), histories=Histories())
    with pytest.raises(DataError, match="the artifact is missing"):
        asyncio.run(opened().recommend(serving, HOME, "head", ()))


def test_nobody_who_waits_is_lost_at_the_end(opened: Callable[..., Slates]) -> None:
    held, slates = Held(), opened(most_together=4)
    serving = Watching(held)

    async def ask() -> tuple[list[Made], Made]:
        waiting = await some(slates, serving, 10)
        stopping = asyncio.create_task(asyncio.to_thread(slates.stop))
        await until(held)
        for _ in range(20):
            held.let.release()
        made = await asyncio.gather(*waiting)
        await stopping
        return made, await slates.recommend(serving, HOME, "head", ())

    made, after_the_end = asyncio.run(ask())
    assert [each.reason for each in made] == ["arm"] * 10
    assert after_the_end.reason == "deadline"


def test_a_caller_who_goes_away_costs_the_others_nothing(opened: Callable[..., Slates]) -> None:
    held, slates = Held(), opened(most_waiting=3)
    serving = Watching(held)

    async def ask() -> list[Made]:
        first, gone, last = await some(slates, serving, 3)
        await until(held)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        again = await some(slates, serving, 1)
        for _ in range(2):
            held.let.release()
        return await asyncio.gather(first, last, *again)

    assert {each.reason for each in asyncio.run(ask())} == {"arm"}


histories = st.lists(st.sampled_from([*TITLES, "not in the catalogue"]), max_size=60)


@given(histories, st.sampled_from([None, *TITLES]))
def test_popularity_without_scoring_is_popularity_with_it(history: list[str], title: str | None) -> None:
    request = Request("u", "home_card" if title is None else "movie_card", START, title)
    popularity = create("popularity")
    popularity.fit(_interactions(users=30, items=TITLES), None, FitOptions())
    serving = Server(launch(), {"head": InOrder(TITLES, fails=True)}, fallback=popularity, histories=Histories())
    seen = {*history, *(() if title is None else (title,))}.intersection(popularity.items)
    row = np.array([[item in seen for item in popularity.items]], np.float32)
    [ranked] = top(popularity, csr_matrix(row), experiment().slate_size)
    best = tuple(popularity.items[index] for index in ranked.tolist() if index >= 0)
    assert serving.stand_in("head", request, history).title_ids == best
    assert serving.slates("head", [request], Histories({"u": history})) == [serving.stand_in("head", request, history)]


def test_a_page_of_titles_that_run_out_is_shorter_without_scoring_too() -> None:
    assert server().stand_in("head", HOME, TITLES[:38]).title_ids == TITLES[38:]


@pytest.mark.parametrize("recommender", ["multi_vae", "rec_vae", "pia", "cdae", "ease", "plrec", "wmf"])
def test_scores_are_the_same_to_the_digit_whatever_the_batch(recommender: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = _interactions(users=60, items=[f"t{number:04d}" for number in range(900)])
    learning = {"epochs": 1} if "epochs" in default_config(recommender) else {}
    arm = create(recommender, learning)
    arm.fit(known, None, FitOptions(seed=3, threads=1))
    scored: list[NDArray[np.float32]] = []
    score = arm.score

    def keep(histories: csr_matrix) -> NDArray[np.float32]:
        scores = score(histories)
        scored.append(scores[np.diff(histories.indptr) > 0])  # no user here is without a history
        return scores

    monkeypatch.setattr(arm, "score", keep)
    serving = Server(launch(), {"head": arm}, fallback=InOrder(known.items), histories=Histories())
    histories = [[known.items[index] for index in row.indices] for row in known.matrix]

    def in_calls_of(size: int) -> tuple[list[Slate], bytes]:
        scored.clear()
        parts = [slice(start, start + size) for start in range(0, 60, size)]
        slates = [slate for part in parts for slate in serving.scored("head", requests(60)[part], histories[part])]
        return slates, np.concatenate(scored).tobytes()

    alone = in_calls_of(1)
    assert len(alone[0]) == 60
    for size in (3, 8, 32, 60):
        assert in_calls_of(size) == alone


def _interactions(users: int, items: Sequence[str]) -> Interactions:
    """Make interactions of 5 to 34 titles a user, some titles liked more than others."""
    rng = np.random.default_rng(11)
    chances = 1.0 / (5.0 + np.arange(len(items)))
    chosen = [rng.choice(len(items), 5 + user % 30, replace=False, p=chances / chances.sum()) for user in range(users)]
    user_codes = np.repeat(np.arange(users), [len(each) for each in chosen])
    names = [f"user{user:03d}" for user in range(users)]
    return Interactions.from_codes(user_codes, np.concatenate(chosen), None, names, items)
