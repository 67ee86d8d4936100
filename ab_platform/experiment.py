"""Experiment, Arm, DataRule: frozen definitions; every rule of validity is checked here, once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import ClassVar, Literal

from pydantic import ConfigDict

from ab_platform.assignment import BUCKETS, arm_ranges
from ab_platform.errors import ExperimentError
from ab_platform.events import SURFACES, Surface
from ab_platform.metrics import metric

KEY_PATTERN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")

State = Literal["running", "stopped"]

ConfigValue = bool | int | float | str


@dataclass(frozen=True)
class DataRule:
    """Which interactions the arms learn from.

    Attributes:
        dataset: name under which the interactions were ingested.
        least_rating: a rated interaction counts as liked from here on; unrated ones always count.
        least_interactions: users with fewer are not trained on.
        hold_back: share of each user's interactions, the last by time, kept from training.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    dataset: str
    least_rating: float = 4.0
    least_interactions: int = 5
    hold_back: float = 0.3

    def __post_init__(self) -> None:
        """Check the rules.

        Raises:
            ExperimentError: naming the key, the value found and what is required.
        """
        _require(bool(self.dataset), ("data", "dataset"), "empty", "the name of an ingested data set")
        _require(0.0 <= self.hold_back < 1.0, ("data", "hold_back"), self.hold_back, "a fraction in [0, 1)")
        _require(self.least_interactions >= 1, ("data", "least_interactions"), self.least_interactions, "at least 1")


@dataclass(frozen=True)
class Arm:
    """What a user may get: a trained recommender.

    Attributes:
        name: unique in the experiment.
        recommender: what is trained, by its name in `models.registry`.
        weight: share of the experiment's users.
        control: whether this is the one arm that the others are compared with.
        seed: of the training.
        config: settings of the recommender that differ from its defaults.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    recommender: str
    weight: float
    control: bool = False
    seed: int = 0
    config: Mapping[str, ConfigValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the rules.

        Raises:
            ExperimentError: naming the key, the value found and what is required.
        """
        _require_key(("arms", self.name, "name"), self.name)
        _require(0.0 <= self.weight <= 1.0, ("arms", self.name, "weight"), self.weight, "a fraction in [0, 1]")


@dataclass(frozen=True)
class Experiment:
    """A frozen definition.

    Attributes:
        key: name of the experiment, and by default its salt.
        data: which interactions the arms learn from.
        arms: exactly one of them is the control; the weights sum to 1.
        hypothesis: what is believed, in a sentence.
        layer: experiments of one layer own disjoint bucket ranges; its name is the layer's salt.
        layer_buckets: half-open range of the layer's 10,000 buckets that this experiment owns.
        salt: decides which arm; a relaunch takes a new key and so a new salt.
        surfaces: where the arms serve and what is analysed.
        slate_size: titles in a slate.
        traffic: share of the owned users who are in; `ramp` changes it and moves nobody.
        days: planned length.
        starts_on: first day (UTC), or None for the day of the launch.
        primary: rows that decide, as `surface.metric`.
        alpha: two-sided error rate of every interval and p-value.
        power: chance of finding the detectable lift.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    key: str
    data: DataRule
    arms: tuple[Arm, ...]
    hypothesis: str = ""
    layer: str = "recommender"
    layer_buckets: tuple[int, int] = (0, BUCKETS)
    salt: str = ""
    surfaces: tuple[Surface, ...] = SURFACES
    slate_size: int = 10
    traffic: float = 1.0
    days: int = 7
    starts_on: date | None = None
    primary: tuple[str, ...] = ("home_card.play_duration",)
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        """Check every rule of validity.

        Raises:
            ExperimentError: naming the key, the value found and what is required.
        """
        _require_key(("key",), self.key)
        _require_key(("layer",), self.layer)
        if not self.salt:
            object.__setattr__(self, "salt", self.key)
        low, high = self.layer_buckets
        _require(0 <= low < high <= BUCKETS, ("layer_buckets",), [low, high], f"0 <= start < end <= {BUCKETS}")
        _require(self.salt != self.layer, ("salt",), repr(self.salt), "other than the layer's, or arm follows gate")
        _require(0.0 <= self.traffic <= 1.0, ("traffic",), self.traffic, "a fraction in [0, 1]")
        _require(1 <= self.slate_size <= 100, ("slate_size",), self.slate_size, "1 to 100 titles")
        _require(1 <= self.days <= 365, ("days",), self.days, "1 to 365")
        _require(0.0 < self.alpha < 0.5, ("alpha",), self.alpha, "above 0 and below 0.5")
        _require(0.0 < self.power < 1.0, ("power",), self.power, "above 0 and below 1")
        _require_distinct(("surfaces",), self.surfaces)
        self._check_arms()
        self._check_primary()

    def _check_arms(self) -> None:
        names = [arm.name for arm in self.arms]
        _require(len(names) >= 2, ("arms",), f"{len(names)} given", "at least 2: a control and a treatment")
        _require_distinct(("arms",), names)
        controls = [arm.name for arm in self.arms if arm.control]
        if len(controls) != 1:
            found = ", ".join(controls) or "none"
            raise ExperimentError(f"arms with control = true: {found}; exactly one arm is the control", ("arms",))
        total = math.fsum(arm.weight for arm in self.arms)
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ExperimentError(f"arm weights sum to {total:.10g}; they must sum to 1.0", ("arms",))

    def _check_primary(self) -> None:
        _require(bool(self.primary), ("primary",), "[]", "at least one row, such as 'home_card.play_duration'")
        for row in self.primary:
            surface, _, name = row.partition(".")
            if surface not in self.surfaces:
                raise ExperimentError(
                    f"primary row '{row}' is on surface '{surface}'; it must be one of {', '.join(self.surfaces)}, "
                    "written as surface.metric",
                    ("primary",),
                )
            try:
                metric(name)
            except ExperimentError as error:
                raise ExperimentError(str(error), ("primary",)) from error

    @property
    def control(self) -> Arm:
        """Return the arm that the others are compared with."""
        return next(arm for arm in self.arms if arm.control)

    @property
    def treatments(self) -> tuple[Arm, ...]:
        """Return the arms that are compared with the control."""
        return tuple(arm for arm in self.arms if not arm.control)

    def ranges(self, traffic: float | None = None) -> tuple[tuple[int, int], ...]:
        """Return each arm's half-open range of arm buckets, in the order of `arms`.

        Args:
            traffic: share of users who are in; the definition's own where None.
        """
        return arm_ranges([arm.weight for arm in self.arms], self.traffic if traffic is None else traffic)

    def document(self) -> dict[str, object]:
        """Return the definition as plain values, ready for JSON."""
        document = asdict(self)
        document["starts_on"] = None if self.starts_on is None else self.starts_on.isoformat()
        return document


Location = tuple[str | int, ...]


def _require(holds: bool, location: Location, found: object, required: str) -> None:
    if not holds:
        raise ExperimentError(f"{location[-1]} is {found}; it must be {required}", location)


def _require_key(location: Location, value: str) -> None:
    shape = "1 to 64 of a-z, 0-9, '_', '-' and '.', starting with a letter or digit"
    _require(KEY_PATTERN.fullmatch(value) is not None, location, repr(value), shape)


def _require_distinct(location: Location, values: Sequence[str]) -> None:
    repeated = sorted({value for value in values if values.count(value) > 1})
    _require(not repeated, location, f"repeating {', '.join(repeated)}", "a list of distinct names")
    _require(len(values) > 0, location, "empty", "a list of at least one")
