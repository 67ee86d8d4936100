"""A query that was written for another experiment is what it would have been."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from ab_platform.storage import per_user
from ab_platform.storage.per_user import KNOWN_BEFORE, PerUser
from ab_platform.storage.population import Population
from ab_platform.storage.written_once import written_once

FAMILIES = [[PerUser("watch_seconds"), PerUser("watch_seconds", "before"), KNOWN_BEFORE], [PerUser("due_3")]]
ONE = Population("one", date(2026, 3, 31), "ml-1m", ("b-1", "b-2"), 14)
OTHERS = [
    ONE,
    replace(ONE, experiment="two", as_of=date(2024, 2, 28), dataset="gowalla", earlier=("one", "one-before")),
    replace(ONE, experiment="it's", dataset="50 % {experiment}", earlier=("{earlier 1}", "1801-02-03")),
    replace(ONE, earlier=(), ended_before=True),
]


def plain(query: str) -> str:
    """Return a query without blanks: how it is broken into lines depends on the names."""
    return "".join(query.split())


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "duckdb"])
@pytest.mark.parametrize("population", OTHERS)
def test_it_is_the_query_that_is_written_anew(population: Population, dialect: str) -> None:
    sums = per_user.sums
    for given in (ONE, population):
        anew = sums.__wrapped__(given, FAMILIES, ["device", "cohort"], dialect=dialect)  # type: ignore[attr-defined]
        assert plain(sums(given, FAMILIES, ["device", "cohort"], dialect=dialect)) == plain(anew)


def test_one_of_the_same_shape_is_not_written_again() -> None:
    asked: list[Population] = []

    @written_once
    def write(population: Population, columns: list[str]) -> str:
        asked.append(population)
        return f"{population.experiment} {columns}"

    assert [write(each, ["a"]) for each in OTHERS[:2]] == ["one ('a',)", "two ('a',)"]
    assert len(asked) == 1
    write(ONE, ["b"])
    write(OTHERS[3], ["a"])
    assert len(asked) == 3
