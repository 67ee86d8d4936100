"""Answers of each shard to one question, by the version of what they were made from, in a file."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from ab_platform.storage.per_user import PerUser
from ab_platform.storage.warehouse.questions import ByAge, Cells, Question
from ab_platform.storage.warehouse.temporary import put

_NAMES = {
    "Cells": "sums",
    "ByAge": "by-age",
    "DayCounts": "day-counts",
    "ExposedByDay": "exposed-by-day",
    "FirstExposures": "first-exposures",
}

Rows = list[dict[str, Any]]
"""As the question's query gives them, in what JSON can hold."""


class Answered:
    """The answers to a question.

    Args:
        folder: of the experiment's running totals.
        question: which; it is known by its columns, in whatever order.
    """

    def __init__(self, folder: Path, question: Question) -> None:
        families = question.families if isinstance(question, (Cells, ByAge)) else ()
        self._path = folder / f"{_NAMES[type(question).__name__]}{_told(families)}.json"
        self._known: dict[str, dict[str, Any]] = _read(self._path)

    def __contains__(self, version: str) -> bool:
        """Tell whether an answer is known."""
        return version in self._known

    def __getitem__(self, version: str) -> Rows:
        """Return an answer."""
        found: Rows = self._known[version]["rows"]
        return found

    def put(self, version: str, through: date, rows: Rows) -> None:
        """Add an answer, through a day; it lasts once it is kept."""
        self._known[version] = {"day": through.isoformat(), "rows": rows}

    def keep(self, current: Collection[str], through: date) -> None:
        """Write the answers down, but for versions that are no more; those of later days are not judged now."""
        last = through.isoformat()
        kept = {version: each for version, each in self._known.items() if version in current or each["day"] > last}
        put(self._path, lambda beside: beside.write_text(json.dumps(kept), encoding="utf-8"))


def added_up(rows: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> Rows:
    """Add up rows of the same keys."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        known = found.setdefault(key, dict(zip(keys, key, strict=True)))
        known.update({name: known.get(name, 0) + value for name, value in row.items() if name not in keys})
    return list(found.values())


def _told(families: Sequence[Sequence[PerUser]]) -> str:
    """Return what tells the columns of questions apart."""
    if not families:
        return ""
    told = json.dumps(sorted(sorted({f"{each.source}.{each.name}" for each in family}) for family in families))
    return f"-{sha256(told.encode()).hexdigest()[:20]}"


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Read answers; where they cannot be read there are none, and they are made again."""
    with suppress(OSError, ValueError):
        return dict(json.loads(path.read_bytes()))
    return {}
