"""What can be set on each recommender: types, defaults and ranges, checked at construction. It loads no torch."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from models.errors import ModelError

Reduction = Literal["sum", "mean"]
_Config = TypeVar("_Config", bound="Config")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of a recommender; a child adds fields, and each is checked against its type and range."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = _of_type(field.name, getattr(self, field.name), hints[field.name])
            _check_limits(field.name, value, field.metadata)
            object.__setattr__(self, field.name, value)

    def as_mapping(self) -> Mapping[str, object]:
        """Return the settings by name, ready for JSON."""
        return dataclasses.asdict(self)


def number(default: Any, **limits: float) -> Any:
    """Declare a field with its limits: `at_least`, `above`, `at_most`."""
    return dataclasses.field(default=default, metadata=limits)


@dataclass(frozen=True, kw_only=True)
class PopularityConfig(Config):
    """Nothing can be set on popularity."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Config):
    """What the training loop needs of every arm that learns by gradient.

    Attributes:
        learning_rate: of Adam.
        batch: users a step.
        epochs: the most passes over the users.
        patience: epochs without a better validation NDCG@100 before training stops.
    """

    learning_rate: float = number(1e-3, above=0)
    batch: int = number(500, at_least=1)
    epochs: int = number(200, at_least=1)
    patience: int = number(30, at_least=1)


@dataclass(frozen=True, kw_only=True)
class MultiVaeConfig(TrainingConfig):
    """The settings of Multi-VAE (Liang et al. 2018).

    Attributes:
        hidden: units of the hidden layer, the same in the encoder and in the decoder.
        latent: dimensions of the latent space.
        keep: probability that an interaction passes the input mask.
        beta_max: weight of the KL term once it is annealed.
        anneal_epochs: epochs over which that weight grows from 0. The source grows it by 1/200,000 a step, so to 0.2
            in 40,000 steps; at the 234 steps an epoch of MovieLens 20M these are 171 epochs.
    """

    hidden: int = number(600, at_least=1)
    latent: int = number(200, at_least=1)
    keep: float = number(0.5, above=0, at_most=1)
    beta_max: float = number(0.2, at_least=0)
    anneal_epochs: int = number(171, at_least=1)


@dataclass(frozen=True, kw_only=True)
class PiaConfig(MultiVaeConfig):
    """The settings of personalised item alignment on Multi-VAE (Vuong et al. 2026).

    Attributes:
        alignment: weight of the alignment term, lambda_A in the source. Its good value depends on `reduction`:
            8 as the mean over 200 dimensions is 0.04 as their sum.
        reduction: whether the squared distance to an anchor is the sum or the mean over latent dimensions.
    """

    alignment: float = number(0.3, at_least=0)
    reduction: Reduction = "sum"


CONFIGS: Mapping[str, type[Config]] = {
    "popularity": PopularityConfig,
    "multi_vae": MultiVaeConfig,
    "pia": PiaConfig,
}


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
