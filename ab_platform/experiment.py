"""Experiment, Arm, and the rules of its data and analysis: frozen definitions; all is checked here, once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from ab_platform.assignment import BUCKETS, Placement, Ranges, UserIds, arm_ranges, assign, assign_all
from ab_platform.errors import ExperimentError
from ab_platform.events import SURFACES, Surface
from ab_platform.metrics import Metric, Role, Row, metric, table_2_rows
from ab_platform.statistics.monitoring import MonitoringName
from ab_platform.statistics.multiplicity import Adjustment

KEY_PATTERN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")

MOST_STEPS = 5
"""Traffics that one experiment may go through; an orchestrator draws each of them."""

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
class Guardrail:
    """A row that must not get worse by more than its margin.

    Attributes:
        row: as `surface.metric`.
        margin: tolerated change for the worse, relative to the control, as a fraction.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    row: str
    margin: float

    def __post_init__(self) -> None:
        """Check the rules.

        Raises:
            ExperimentError: naming the key, the value found and what is required.
        """
        _require(0.0 < self.margin < 1.0, ("guardrails", "margin"), self.margin, "a fraction in (0, 1), such as 0.02")


@dataclass(frozen=True)
class RampStep:
    """Days at one traffic.

    Attributes:
        traffic: share of the owned users who are in.
        days: how long, before the next step is considered.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    traffic: float
    days: int = 1

    def __post_init__(self) -> None:
        """Check the rules.

        Raises:
            ExperimentError: naming the key, the value found and what is required.
        """
        _require(0.0 < self.traffic <= 1.0, ("ramp", "traffic"), self.traffic, "a fraction in (0, 1]")
        _require(self.days >= 1, ("ramp", "days"), self.days, "at least 1")


@dataclass(frozen=True)
class AnalysisRule:
    """How the lift is inferred.

    Attributes:
        monitoring: `fixed` for one look at the planned end, `sequential` for a look at any time, `group_sequential`
            for looks that are planned.
        users: expected in all arms by the planned end; what sequential looks are tuned for, and where the last of the
            planned looks is. Required for both.
        looks: how many are planned, evenly over the days; for `group_sequential`.
        adjustment: for several primary rows.
        covariates: what CUPED takes variance out with: `before` (the row's own metric before the user's exposure),
            `prediction` (CUPAC: the row predicted from all that is known before it), or a user attribute's name.
        covariate_days: how long before the exposure `before` looks back.
        segments: user attributes, `interactions` (groups of Table 3) or `cohort` (day of the first exposure).
        lift_to_find: what the experiment is planned for, as a fraction; None for whatever its users can show.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    monitoring: MonitoringName = "fixed"
    users: int | None = None
    looks: int | None = None
    adjustment: Adjustment = "holm"
    covariates: tuple[str, ...] = ("before",)
    covariate_days: int = 28
    segments: tuple[str, ...] = ()
    lift_to_find: float | None = None

    def __post_init__(self) -> None:
        """Check the rules.

        Raises:
            ExperimentError: naming the key, the value found and what is required.
        """
        at = "analysis"
        planned = self.monitoring != "fixed"
        required = f"the users expected by the planned end, as monitoring is {self.monitoring}: see `abp power FILE`"
        _require(not planned or (self.users or 0) >= 100, (at, "users"), self.users, f"at least 100, {required}")
        grouped = self.monitoring == "group_sequential"
        _require(not grouped or 2 <= (self.looks or 0) <= 100, (at, "looks"), self.looks, "2 to 100 planned looks")
        _require(grouped or self.looks is None, (at, "looks"), self.looks, "left out unless group_sequential")
        _require(1 <= self.covariate_days <= 365, (at, "covariate_days"), self.covariate_days, "1 to 365")
        found = self.lift_to_find
        _require(found is None or -1.0 < found != 0.0, (at, "lift_to_find"), found, "a lift other than 0, such as 0.03")
        for key, names in (("covariates", self.covariates), ("segments", self.segments)):
            repeated = sorted({name for name in names if names.count(name) > 1})
            _require(not repeated, (at, key), f"repeating {', '.join(repeated)}", "a list of distinct names")


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
        traffic: share of the owned users who are in; a ramp changes it and moves nobody.
        ramp: days at less traffic before that, each left only when sample ratio and guardrails allow it.
        days: planned length, the ramp included.
        starts_on: first day (UTC), or None for the day of the launch.
        primary: rows that decide, as `surface.metric`.
        secondary: rows that inform, beside those of Table 2.
        guardrails: rows that must not get worse than their margin.
        metrics: the experiment's own, beside those of the catalogue.
        stop_on_breach: whether a guardrail that is breached stops the experiment at once, without asking.
        least_quality: NDCG@100 on validation users that every arm must reach before it may serve, as a multiple of what
            popularity reaches on the same users; 0 lets every arm pass.
        analysis: how the lift is inferred.
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
    ramp: tuple[RampStep, ...] = ()
    days: int = 7
    starts_on: date | None = None
    primary: tuple[str, ...] = ("home_card.play_duration",)
    secondary: tuple[str, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    metrics: tuple[Metric, ...] = ()
    stop_on_breach: bool = False
    least_quality: float = 0.5
    analysis: AnalysisRule = field(default_factory=AnalysisRule)
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
        _require(0.0 <= self.least_quality <= 100.0, ("least_quality",), self.least_quality, "0 to 100, such as 0.5")
        _require_distinct(("surfaces",), self.surfaces)
        self._check_ramp()
        looks_always = self.stop_on_breach and self.analysis.monitoring == "fixed"
        sequential = "false, or analysis.monitoring 'sequential' or 'group_sequential': it looks again and again"
        _require(not looks_always, ("stop_on_breach",), "true and monitoring is fixed", sequential)
        self._check_arms()
        self._check_rows()

    def _check_ramp(self) -> None:
        most = MOST_STEPS - 1
        _require(
            len(self.ramp) <= most, ("ramp",), f"{len(self.ramp)} steps", f"at most {most}, before the full traffic"
        )
        traffic = [step.traffic for step in self.ramp]
        rising = all(low < high for low, high in pairwise([*traffic, self.traffic]))
        found = ", ".join(f"{each:g}" for each in traffic)
        _require(
            rising, ("ramp",), f"{found}, then {self.traffic:g}", "ever more traffic, up to that of the experiment"
        )
        ramped = sum(step.days for step in self.ramp)
        _require(ramped < self.days, ("ramp",), f"{ramped} days long", f"shorter than the {self.days} planned days")

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

    def _check_rows(self) -> None:
        _require(bool(self.primary), ("primary",), "[]", "at least one row, such as 'home_card.play_duration'")
        _require_distinct(("metrics",), [each.name for each in self.metrics], least=0)
        listed = [*self.primary, *self.secondary, *(each.row for each in self.guardrails)]
        repeated = sorted({row for row in listed if listed.count(row) > 1})
        if repeated:
            raise ExperimentError(
                f"row '{repeated[0]}' is listed twice among primary, secondary and guardrails; a row has one role",
                ("primary",),
            )
        for key, names in self._listed():
            for place, name in enumerate(names):
                location: Location = (key, place, "row") if key == "guardrails" else (key,)
                try:
                    self._row(name, key)
                except ExperimentError as error:
                    raise ExperimentError(str(error), location) from error

    def _listed(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        guarded = tuple(each.row for each in self.guardrails)
        return ("primary", self.primary), ("secondary", self.secondary), ("guardrails", guarded)

    def _row(self, name: str, key: str) -> tuple[Surface, Metric]:
        """Return surface and metric of a row as the file names it."""
        surface, _, measured = name.partition(".")
        found = next((each for each in self.surfaces if each == surface), None)
        if found is None:
            raise ExperimentError(
                f"{key} row '{name}' is on surface '{surface}'; it must be one of {', '.join(self.surfaces)}, "
                "written as surface.metric"
            )
        return found, metric(measured, self.metrics)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Return what is analysed: on each surface the rows of Table 2, then the further ones as they are listed."""
        margins = {self._row(each.row, "guardrails"): each.margin for each in self.guardrails}
        roles: dict[tuple[Surface, Metric], Role] = dict.fromkeys(margins, "guardrail")
        roles |= dict.fromkeys((self._row(name, "primary") for name in self.primary), "primary")
        listed = [self._row(name, key) for key, names in self._listed() for name in names]
        every = dict.fromkeys([*table_2_rows(self.surfaces), *listed])
        placed = sorted(every, key=lambda row: self.surfaces.index(row[0]))
        return tuple(Row(*row, roles.get(row, "secondary"), margins.get(row)) for row in placed)

    @property
    def steps(self) -> tuple[RampStep, ...]:
        """Return the traffic of all planned days: the ramp, then the full traffic up to the planned end."""
        return (*self.ramp, RampStep(self.traffic, self.days - sum(step.days for step in self.ramp)))

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

    def place(self, user_id: str, ranges: Ranges) -> Placement:
        """Place one user by the layer's salt and slice, the experiment's salt, and what `ranges` gives."""
        start, end = self.layer_buckets
        return assign(
            user_id,
            layer_salt=self.layer,
            layer_start=start,
            layer_end=end,
            experiment_salt=self.salt,
            ranges=ranges,
        )

    def place_all(self, user_ids: UserIds, ranges: Ranges) -> NDArray[np.int64]:
        """Return the position of every user's arm, as `place` gives it, -1 when in no arm, (users,)."""
        start, end = self.layer_buckets
        return assign_all(
            user_ids,
            layer_salt=self.layer,
            layer_start=start,
            layer_end=end,
            experiment_salt=self.salt,
            ranges=ranges,
        )

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


def _require_distinct(location: Location, values: Sequence[str], *, least: int = 1) -> None:
    repeated = sorted({value for value in values if values.count(value) > 1})
    _require(not repeated, location, f"repeating {', '.join(repeated)}", "a list of distinct names")
    _require(len(values) >= least, location, "empty", "a list of at least one")
