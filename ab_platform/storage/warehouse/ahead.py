"""Questions that are read ahead of being asked: of many experiments at once, so that one scan serves all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from ab_platform.storage.population import Population
from ab_platform.storage.wanted import Wanted
from ab_platform.storage.warehouse.questions import (
    ByAge,
    Cells,
    DayCounts,
    ExposedByDay,
    FirstExposures,
    Question,
    shape,
)

EXPERIMENTS_AT_ONCE = 500
"""Experiments of a query: their names are part of its text."""

Answers = dict[tuple[Question, Population], tuple[Any, ...]]


def named(experiment: str, as_of: date) -> Population:
    """Return a population of which nothing is asked but what its experiment and the last day tell."""
    return Population(experiment, as_of, "")


def questions(wanted: Iterable[Wanted]) -> Iterator[tuple[Question, Population]]:
    """List what will be asked of each experiment."""
    for each in wanted:
        for dimensions in each.dimensions:
            yield Cells(each.families, dimensions), each.population
        if each.ages:
            yield ByAge(each.ages), each.population
        if each.rest:
            yield ExposedByDay(), each.population
            yield FirstExposures(each.segments), each.population
            yield DayCounts(), named(each.population.experiment, each.population.as_of)


def together(
    asked: Iterable[tuple[Question, Population]], rows: Mapping[str, float], *, at_most: float
) -> Iterator[tuple[Question, tuple[Population, ...]]]:
    """Put together what one query answers; what would be alone in its query is left out.

    Args:
        asked: questions of experiments, in any order.
        rows: of each experiment, those of the time before included.
        at_most: so many rows in all of a query.
    """
    alike: dict[tuple[Question, Population], set[Population]] = defaultdict(set)
    for question, population in asked:
        alike[question, shape(question, population)].add(population)
    for (question, _), populations in alike.items():
        # By name, as the rows of the files are: a query then skips those of others.
        ordered = sorted(populations, key=lambda each: each.experiment)
        for several in _divided(ordered, rows, at_most):
            if len(several) > 1:
                yield question, several


def _divided(
    populations: Iterable[Population], rows: Mapping[str, float], at_most: float
) -> Iterator[tuple[Population, ...]]:
    several: list[Population] = []
    total = 0.0
    for each in populations:
        if several and (len(several) == EXPERIMENTS_AT_ONCE or total + rows[each.experiment] > at_most):
            yield tuple(several)
            several, total = [], 0.0
        several.append(each)
        total += rows[each.experiment]
    yield tuple(several)
