"""Experiment files: TOML to Experiment and back, with the line of every error."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import TypeAdapter, ValidationError

from ab_platform.errors import ExperimentError, nearest
from ab_platform.experiment import AnalysisRule, Arm, DataRule, Experiment, Guardrail, Location, RampStep
from ab_platform.metrics import Metric

_HEADER = re.compile(r"\s*(\[{1,2})\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*["']?([A-Za-z0-9_.-]+)["']?\s*=""")


def load(path: Path, *, check: Callable[[Experiment], None] | None = None) -> Experiment:
    """Read an experiment file.

    Args:
        path: of the file.
        check: further rules, such as those of the recommenders; its errors get their line too.

    Raises:
        ExperimentError: with file and line, for what is not TOML, an unknown key, or a broken rule.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), source=str(path), check=check)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ExperimentError(f"{path} is not a file; give the path of an experiment file (TOML)") from error


def parse(text: str, *, source: str = "experiment", check: Callable[[Experiment], None] | None = None) -> Experiment:
    """Turn the text of an experiment file into an Experiment.

    Args:
        text: TOML; its keys are the fields of Experiment, `[data]` those of DataRule, each `[[arms]]` those of Arm.
        source: named in errors.
        check: further rules, as in `load`.

    Raises:
        ExperimentError: with source and line.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{source}: not valid TOML: {error}") from error
    try:
        experiment = from_values(values)
        if check is not None:
            check(experiment)
        return experiment
    except ExperimentError as error:
        line = line_of(text, _placed(error.location, values))
        raise ExperimentError(f"{source}:{line}: {error}", error.location) from error


def from_values(values: Mapping[str, object]) -> Experiment:
    """Build an Experiment from plain values, as TOML or the store gives them.

    Raises:
        ExperimentError: for a wrong type, an unknown key, or a broken rule.
    """
    try:
        return _adapter().validate_python(dict(values))
    except ValidationError as error:
        raise _explain(error) from error


@cache
def _adapter() -> TypeAdapter[Experiment]:
    """Return what validates; to make one takes many times as long as to use it."""
    return TypeAdapter(Experiment)


def _explain(error: ValidationError) -> ExperimentError:
    """Turn the first problem pydantic found into one sentence; an unknown key often explains a missing one."""
    problem = min(error.errors(), key=lambda each: each["type"] != "unexpected_keyword_argument")
    location: Location = tuple(problem["loc"])
    name = ".".join(str(part) for part in location)
    match problem["type"]:
        case "unexpected_keyword_argument":
            message = f"key '{location[-1]}' is unknown; {nearest(str(location[-1]), _known_keys(location))}"
        case "missing":
            message = f"key '{name}' is missing; add it"
        case _:
            message = f"{name} is {problem['input']!r}; {problem['msg'].lower()}"
    return ExperimentError(message, location)


def _known_keys(location: Location) -> list[str]:
    tables = {
        "arms": Arm,
        "data": DataRule,
        "analysis": AnalysisRule,
        "guardrails": Guardrail,
        "metrics": Metric,
        "ramp": RampStep,
    }
    owner = tables.get(str(location[0])) if len(location) > 1 else Experiment
    return [field.name for field in fields(owner or Experiment)]


def _placed(location: Location, values: Mapping[str, Any]) -> Location:
    """Turn the name of an arm or metric in a location into its place in the file."""
    match location:
        case ("arms" | "metrics" as table, str() as name, *rest):
            names = [each.get("name") for each in values[table]]
            return (table, names.index(name), *rest)
    return location


def line_of(text: str, location: Location) -> int:
    """Return the line, from 1, of a key in a TOML text, or of the nearest table above it that stands there."""
    names = [part for part in location if isinstance(part, str)]
    wanted = next((part for part in location if isinstance(part, int)), 0)
    table: list[str] = []
    seen: dict[str, int] = {}
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = header.group(2).split(".")
            if header.group(1) == "[[":
                seen[header.group(2)] = seen.get(header.group(2), -1) + 1
            here = table
        elif key := _KEY.match(line):
            here = [*table, *key.group(1).split(".")]
        else:
            continue
        if seen.get(here[0], wanted) == wanted and here == names[: len(here)] and len(here) > depth:
            best, depth = number, len(here)
    return best


def dump(experiment: Experiment) -> str:
    """Write an Experiment as the text of an experiment file that `parse` turns back into it."""
    return tomli_w.dumps(_present(experiment.document()))


def _present(value: Any) -> Any:
    """Leave out what is None, which TOML cannot say."""
    if isinstance(value, Mapping):
        return {key: _present(each) for key, each in value.items() if each is not None}
    return [_present(each) for each in value] if isinstance(value, list | tuple) else value
