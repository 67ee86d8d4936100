"""Queries of one shape are written once: Ibis takes a tenth of a second for each.

Experiments that are analysed alike differ only in their names and days. A query of several at once is written anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar

from ab_platform.storage.population import OneOrMany, Population, Populations

_Parameters = ParamSpec("_Parameters")

_DAY = date(1801, 2, 3)
"""Stands for the last day; no query has a date of that year otherwise."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:/ -]*")
"""What no engine needs to have escaped."""

SHAPES = 512
"""Shapes that are remembered."""


_Whose = TypeVar("_Whose", Population, OneOrMany)


def written_once(
    write: Callable[Concatenate[_Whose, _Parameters], str],
) -> Callable[Concatenate[_Whose, _Parameters], str]:
    """Let a function that writes a query of a population write each shape of it once."""

    @lru_cache(maxsize=SHAPES)
    def remembered(population: Population, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> str:
        return write(population, *args, **kwargs)

    @wraps(write)
    def written(population: _Whose, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> str:
        if isinstance(population, Populations):
            return write(population, *args, **kwargs)
        names = (population.experiment, population.dataset, *population.earlier)
        if not all(_PLAIN.fullmatch(name) for name in names):
            return write(population, *args, **kwargs)
        shape = remembered(_blank(population), *_frozen(args), **kwargs)  # type: ignore[arg-type, misc]
        return _filled(shape, population)

    return written


def _blank(population: Population) -> Population:
    """Return a population of the same shape, with names that stand for any."""
    earlier = tuple(f"{{earlier {place}}}" for place in range(len(population.earlier)))
    return replace(population, experiment="{experiment}", as_of=_DAY, dataset="{dataset}", earlier=earlier)


def _filled(shape: str, population: Population) -> str:
    """Put the names and days of a population in."""
    values = {"{experiment}": population.experiment, "{dataset}": population.dataset}
    values |= {f"{{earlier {place}}}": name for place, name in enumerate(population.earlier)}
    for days in (0, 1):
        blank, day = _DAY + timedelta(days=days), population.as_of + timedelta(days=days)
        values[blank.isoformat()] = day.isoformat()
        values[f"({blank.year}, {blank.month}, {blank.day})"] = f"({day.year}, {day.month}, {day.day})"
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found.group()], shape)


def _frozen(value: object) -> object:
    """Return lists as tuples, through and through, so that they can be remembered by."""
    return tuple(_frozen(each) for each in value) if isinstance(value, (list, tuple)) else value
