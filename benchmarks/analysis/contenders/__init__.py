"""The sides of the comparison, a module each, by the name they have on the command line."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from benchmarks.analysis.answers import Contender

NAMES = (
    "floor",
    "archive",
    "totals",
    "incremental",
    "query",
    "spark",
    "postgresql",
    "sqlite",
    "tea_tasting",
    "growthbook",
)
"""In the order of the table. A further one is a module with a `CONTENDER`, and its name here."""


def contender(name: str) -> Contender:
    """Return a contender; its libraries are loaded with it, and no other's."""
    return cast(Contender, import_module(f"{__name__}.{name}").CONTENDER)
