"""Rows and exact sums of users: what they did before their exposure, their attributes, segments and ages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from ab_platform.experiment import DataRule
from ab_platform.lineage import Launch
from ab_platform.storage.exact_sums import ExactSums
from ab_platform.storage.store import KNOWN_BEFORE, PerUser, Population, Store
from tests.storage.made import KEY, START, after, click, definition, impression, launch, register, started, watch

LAST = after(days=6).date()
CLICKS, SECONDS = PerUser("clicks"), PerUser("watch_seconds")
CLICKS_BEFORE, SECONDS_BEFORE = PerUser("clicks", "before"), PerUser("watch_seconds", "before")


def of_week(store: Store, key: str, begins: datetime) -> Launch:
    """Launch an experiment of the week that begins then, with a layer of its own."""
    made = launch(definition(key, layer=f"layer-{key}"))
    launched = replace(made, launched_at=begins, starts_at=begins, ends_at=begins + timedelta(days=7))
    register(store, launched)
    store.launch(launched)
    return launched


def population(*, earlier: tuple[str, ...] = (), as_of: date = LAST, covariate_days: int = 28) -> Population:
    return Population(KEY, as_of, "ml-1m", earlier, covariate_days)


def rows(store: Store, who: Population, *columns: PerUser) -> dict[str, list[float]]:
    [found] = store.user_values(who, columns)
    return dict(zip(found.users.tolist(), found.values.tolist(), strict=True))


@pytest.fixture
def weeks(store: Store) -> Store:
    """An earlier week, and the experiment: u is exposed on its third day, v on its first, w was never seen before."""
    of_week(store, "earlier", START - timedelta(days=7))
    started(store)
    before = START - timedelta(days=2)
    for user, seconds in (("u", 30.0), ("v", 50.5)):
        store.record([impression(user, before, key="earlier"), watch(user, before, seconds, key="earlier")])
        store.record([click(user, before + timedelta(seconds=1), key="earlier")])
    store.record([impression("u", after(days=2)), impression("v", START), impression("w", START)])
    store.record([watch("u", after(days=2, seconds=1), 7.0), click("v", after(days=1))])
    store.roll_up()
    return store


def test_what_a_user_did_before_the_exposure_stands_beside_what_followed(weeks: Store) -> None:
    found = rows(weeks, population(earlier=("earlier",)), SECONDS, SECONDS_BEFORE, CLICKS_BEFORE, KNOWN_BEFORE)
    assert found == {"u": [7.0, 30.0, 1.0, 1.0], "v": [0.0, 50.5, 1.0, 1.0], "w": [0.0, 0.0, 0.0, 0.0]}


def test_the_window_of_the_covariate_ends_at_the_users_own_exposure(weeks: Store) -> None:
    of_week(weeks, "beside", START)  # at the same time as the experiment
    for user in ("u", "v"):
        weeks.record([impression(user, after(days=1), key="beside"), watch(user, after(days=1), 100.0, key="beside")])
    weeks.record([watch("u", after(days=2, seconds=9), 9.0, key="beside")])
    weeks.roll_up()
    found = rows(weeks, population(earlier=("beside", "earlier")), SECONDS_BEFORE)
    # u came on the third day, so the second counts and the third does not; v came on the first.
    assert found == {"u": [130.0], "v": [50.5], "w": [0.0]}


def test_the_window_begins_so_many_days_before_the_exposure(weeks: Store) -> None:
    found = rows(weeks, population(earlier=("earlier",), covariate_days=3), SECONDS_BEFORE, KNOWN_BEFORE)
    assert found == {"u": [0.0, 0.0], "v": [50.5, 1.0], "w": [0.0, 0.0]}


def test_experiments_that_ended_before_every_exposure_tell_the_same_without_a_look_at_it(weeks: Store) -> None:
    who = population(earlier=("earlier",))
    columns = (SECONDS, SECONDS_BEFORE, CLICKS_BEFORE, KNOWN_BEFORE)
    assert rows(weeks, replace(who, ended_before=True), *columns) == rows(weeks, who, *columns)


def test_without_earlier_experiments_nothing_is_known(weeks: Store) -> None:
    assert rows(weeks, population(), SECONDS_BEFORE, KNOWN_BEFORE)["u"] == [0.0, 0.0]


def test_an_attribute_is_a_number_with_an_indicator(weeks: Store) -> None:
    assert weeks.write_attributes("ml-1m", "age", [("u", "31.5"), ("v", "-4")]) == 2
    found = rows(weeks, population(), PerUser("age", "attribute"), PerUser("age", "attribute_known"))
    assert found == {"u": [31.5, 1.0], "v": [-4.0, 1.0], "w": [0.0, 0.0]}


def test_an_attribute_written_again_takes_the_place_of_the_old_one(weeks: Store) -> None:
    weeks.write_attributes("ml-1m", "device", [("u", "tv"), ("v", "web")])
    weeks.write_attributes("ml-1m", "device", [("u", "phone")])
    assert weeks.attributes("ml-1m") == {"device": 2}
    cells = weeks.cells(population(), [[CLICKS]], ["device"])
    assert [cell.segments for cell in cells] == [("phone",), ("unknown",), ("web",)]


def test_segments_divide_the_users_and_add_up_to_all_of_them_to_the_digit(weeks: Store) -> None:
    weeks.write_attributes("ml-1m", "device", [("u", "tv"), ("v", "web")])
    family = [CLICKS, SECONDS, SECONDS_BEFORE]
    who = population(earlier=("earlier",))
    whole = weeks.cells(who, [family])
    divided = weeks.cells(who, [family], ["device", "cohort"])
    assert {cell.segments for cell in divided} == {
        ("tv", "2026-03-03"),
        ("web", "2026-03-01"),
        ("unknown", "2026-03-01"),
    }
    for cell in whole:
        parts = [each.sums for each in divided if (each.surface, each.arm) == (cell.surface, cell.arm)]
        assert ExactSums.total(parts) == cell.sums


def test_products_of_columns_with_long_names_are_found_again(weeks: Store) -> None:
    slow = PerUser("first_click_seconds", "before")
    [cell] = weeks.cells(population(earlier=("earlier",)), [[slow, SECONDS]])
    assert cell.sums.moments([slow, SECONDS]).n == 3


@pytest.mark.parametrize(
    ("count", "group"),
    [(4, "0-4"), (5, "5-10"), (10, "5-10"), (11, "11-50"), (51, "51-100"), (100, "51-100"), (101, "100+")],
)
def test_interactions_are_grouped_as_in_table_3(weeks: Store, count: int, group: str) -> None:
    weeks.write_attributes("ml-1m", "interactions", [(user, str(count)) for user in "uvw"])
    assert {cell.segments for cell in weeks.cells(population(), [[CLICKS]], ["interactions"])} == {(group,)}


def test_the_interactions_of_a_data_set_are_counted_as_an_attribute(store: Store) -> None:
    with store.ingesting("small", "hash", "here", START) as writer:
        writer.write_interactions(*_interactions())
        writer.finish(bad_rows=0)
    assert store.count_interactions("small", least_rating=4.0) == 2
    started(store, replace(definition(), data=DataRule("small")))
    store.record([impression("a", START), impression("b", START)])
    store.roll_up()
    who = replace(population(), dataset="small")
    assert rows(store, who, PerUser("interactions", "attribute")) == {"a": [2.0], "b": [1.0]}


def _interactions() -> tuple[list[str], list[str], NDArray[np.float64], NDArray[np.int64]]:
    ratings, seconds = np.array([5.0, 4.0, 3.0, np.nan]), np.array([1, 2, 3, 4])
    return ["a", "a", "a", "b"], ["x", "y", "z", "x"], ratings, seconds


def test_retention_counts_who_came_back_on_the_day_among_those_whose_day_is_over(weeks: Store) -> None:
    weeks.record([impression("v", after(days=1)), impression("u", after(days=3, seconds=5))])
    weeks.roll_up()
    returned, due = PerUser("returned_1"), PerUser("due_1")
    assert rows(weeks, population(as_of=after(days=2).date()), returned, due) == {"u": [0, 0], "v": [1, 1], "w": [0, 1]}
    assert rows(weeks, population(), returned, due)["u"] == [1, 1]


def test_ages_count_days_since_each_users_own_exposure(weeks: Store) -> None:
    weeks.record([impression("u", after(days=5)), click("u", after(days=5, seconds=1))])
    weeks.roll_up()
    cells = weeks.by_age(population(), [[CLICKS]])
    assert [(cell.age, cell.sums.n, cell.sums.moments([CLICKS]).means[0] * cell.sums.n) for cell in cells] == [
        (0, 3, 0.0),  # u on the third day, v and w on the first
        (1, 1, 1.0),  # v
        (3, 1, 1.0),  # u
    ]


def test_sums_over_more_users_are_those_of_users_who_did_nothing(weeks: Store) -> None:
    [cell] = [cell for cell in weeks.by_age(population(), [[SECONDS]]) if cell.age == 0]
    assert cell.sums.among(7).moments([SECONDS]).means[0] == 1.0


def test_the_columns_come_in_the_order_asked_for(weeks: Store) -> None:
    [found] = weeks.user_values(population(), [SECONDS, CLICKS])
    assert found.users.tolist() == ["u", "v", "w"]
    assert np.array_equal(found.values, [[7.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert found.arms.tolist() == ["control"] * 3


def test_a_day_is_a_utc_day(store: Store) -> None:
    started(store)
    late = datetime(2026, 3, 2, 0, 30, tzinfo=UTC).astimezone(tz=None)
    store.record([impression("u", late)])
    store.roll_up()
    [found] = store.exposed_by_day(population())
    assert found.day == date(2026, 3, 2)
