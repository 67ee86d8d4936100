"""What can be set on a recommender: types, defaults, ranges and what tuning may try, checked at construction."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from models.errors import ModelError

_Config = TypeVar("_Config", bound="Config")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of a recommender; a child adds fields, and each is checked against its type and range."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _of_type(field.name, getattr(self, field.name), hints[field.name])
            _check_limits(field.name, value, field.metadata.get("limits", {}))
            object.__setattr__(self, field.name, value)

    def as_mapping(self) -> Mapping[str, object]:
        """Return the settings by name, ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Search:
    """Where tuning looks for a setting.

    Attributes:
        low: the least value to try.
        high: the greatest value to try.
        log: whether the values are spread evenly by their logarithm.
    """

    low: float
    high: float
    log: bool = False


def number(default: Any, *, search: Search | None = None, **limits: float) -> Any:
    """Declare a field with its limits, `at_least`, `above`, `at_most`, and where tuning looks for it, if it does."""
    return dataclasses.field(default=default, metadata={"limits": limits, "search": search})


def searched(config_type: type[Config]) -> Mapping[str, Search]:
    """Return where tuning looks for each setting that it tries, by name."""
    spaces = {field.name: field.metadata.get("search") for field in dataclasses.fields(config_type)}
    return {name: space for name, space in spaces.items() if space is not None}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Config):
    """What the training loop needs of every arm that learns by gradient.

    Attributes:
        learning_rate: of Adam.
        batch: users a step.
        epochs: the most passes over the users.
        patience: epochs without a better validation NDCG@100 before training stops.
    """

    learning_rate: float = number(1e-3, above=0, search=Search(3e-4, 3e-3, log=True))
    batch: int = number(500, at_least=1, search=Search(64, 512, log=True))
    epochs: int = number(200, at_least=1)
    patience: int = number(30, at_least=1)


def configure(config_type: type[_Config], values: Mapping[str, object]) -> _Config:
    """Build a configuration from its defaults and some values.

    Raises:
        ModelError: a key is unknown, a value has another type or is out of range.
    """
    known = [field.name for field in dataclasses.fields(config_type)]
    for key in values:
        if key not in known:
            raise ModelError(f"the setting {key!r} is unknown; {nearest(key, known)}")
    return config_type(**values)


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name may have been meant, or else all that are known."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are {', '.join(names)}" if names else "nothing can be set here, so leave it out"


def _of_type(name: str, value: object, wanted: Any) -> object:
    """Return the value, a whole number as a fraction where one is wanted."""
    if get_origin(wanted) is Literal:
        if value in get_args(wanted):
            return value
        raise ModelError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, get_args(wanted)))}")
    # A bool is an int to Python, but `hidden = true` in a file is a slip.
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is wanted:
        return value
    raise ModelError(f"{name} is {value!r}, a {type(value).__name__}; it must be a {wanted.__name__}")


def _check_limits(name: str, value: Any, limits: Mapping[str, float]) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ModelError(f"{name} is {value}; it must be finite")
    if value < limits.get("at_least", value):
        raise ModelError(f"{name} is {value}; it must be at least {limits['at_least']}")
    if "above" in limits and value <= limits["above"]:
        raise ModelError(f"{name} is {value}; it must be above {limits['above']}")
    if value > limits.get("at_most", value):
        raise ModelError(f"{name} is {value}; it must be at most {limits['at_most']}")
