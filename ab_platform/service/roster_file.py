"""Keep the roster in a file, so that a service that starts while the database is away still knows whom it serves."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ab_platform.access import Token
from ab_platform.errors import PlatformError
from ab_platform.experiment_file import from_values
from ab_platform.lineage import Launch
from ab_platform.service.roster import Roster, Standing

PRIVATE = 0o600
FORMAT = 1


def save(roster: Roster, path: Path) -> None:
    """Write a roster, whole or not at all; only its owner may read it.

    Tokens are in it as hashes: who reads the file cannot ask in a client's name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several workers write the same: each to a file of its own, and the last one stands.
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(_document(roster), file, default=_plain)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load(path: Path) -> Roster | None:
    """Read a roster; None where there is none, or one that this version cannot read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return _roster(document) if document["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError, PlatformError):
        return None


def _document(roster: Roster) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": roster.version,
        "read_at": roster.read_at,
        "experiments": [
            {**_values(each.launch), "experiment": each.launch.experiment.document(), "clock": each.clock}
            for each in roster.experiments.values()
        ],
        "tokens": [asdict(token) for token in roster.tokens.values()],
        "erased": dict(roster.erased),
    }


def _roster(document: Mapping[str, Any]) -> Roster:
    standing = [_standing(each) for each in document["experiments"]]
    tokens = [_token(each) for each in document["tokens"]]
    return Roster(
        document["version"],
        {each.key: each for each in standing},
        {token.secret_hash: token for token in tokens},
        {digest: datetime.fromisoformat(at) for digest, at in document["erased"].items()},
        datetime.fromisoformat(document["read_at"]),
    )


def _values(launch: Launch) -> dict[str, object]:
    return {each.name: getattr(launch, each.name) for each in fields(launch)} | {"artifacts": dict(launch.artifacts)}


def _standing(values: Mapping[str, Any]) -> Standing:
    own = {each.name: values[each.name] for each in fields(Launch)} | _moments(values)
    return Standing(Launch(**{**own, "experiment": from_values(values["experiment"])}), values["clock"])


def _token(values: Mapping[str, Any]) -> Token:
    experiments = values["experiments"]
    sets = {
        "scopes": frozenset(values["scopes"]),
        "experiments": None if experiments is None else frozenset(experiments),
    }
    return Token(**{**values, **_moments(values), **sets})


def _moments(values: Mapping[str, Any]) -> dict[str, datetime]:
    """Return the values that are moments: their names end in `_at`."""
    return {name: datetime.fromisoformat(each) for name, each in values.items() if name.endswith("_at") and each}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
