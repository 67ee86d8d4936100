"""A simulation as it is asked for: its settings, the experiments that they make, and the true lifts of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from ab_platform.errors import ExperimentError
from ab_platform.events import Surface
from ab_platform.experiment import AnalysisRule, Arm, DataRule, Experiment, Guardrail
from ab_platform.results import Truth
from ab_platform.simulation.population import SLATE_SIZE, Behaviour, figures
from ab_platform.simulation.worlds import REACH, World, world
from ab_platform.statistics.monitoring import MonitoringName

CONTROL, TREATMENT = "old", "new"
RECOMMENDER = "popularity"
"""What the arms are called after; nothing is trained, and what they show is made up."""

Behaviours = Mapping[Surface, Behaviour]
"""What users do on each surface under one arm."""

Archived = Literal["events", "user_days"]

LEAST_USERS = 200
BEFORE_DAYS = 7
VISITS_MARGIN = 0.05


@dataclass(frozen=True)
class Plan:
    """What is simulated.

    Attributes:
        world: its name.
        users: in all arms.
        seed: of everything that is drawn.
        days: of the experiment.
        monitoring: how often it may be looked at.
        covariates: what variance is taken out with.
        segments: what the table is divided by; the world's own where None.
        before: whether the same users are first seen for a week in which both arms are the control.
        key: of the experiment; made from the world where empty.
        archived: what is put into the archive, past the database: events and all that is counted of them, or only
            what is counted; None where the events go through the database.
    """

    world: str
    users: int = 20_000
    seed: int = 0
    days: int = 7
    monitoring: MonitoringName = "fixed"
    covariates: tuple[str, ...] = ("before",)
    segments: tuple[str, ...] | None = None
    before: bool = True
    key: str = ""
    archived: Archived | None = None

    def __post_init__(self) -> None:
        """Fill in what the world decides, and check the rest.

        Raises:
            ExperimentError: with the value found and what is required.
            NotFoundError: for a world that is not there.
        """
        if self.users < LEAST_USERS:
            raise ExperimentError(f"users is {self.users}; a simulation needs at least {LEAST_USERS}")
        if not 1 <= self.days <= 365:
            raise ExperimentError(f"days is {self.days}; it must be 1 to 365")
        if self.seed < 0:
            raise ExperimentError(f"seed is {self.seed}; it must be at least 0")
        made = self.made
        if self.segments is None:
            object.__setattr__(self, "segments", made.segments)
        if not self.key:
            object.__setattr__(self, "key", f"simulate-{self.world}")

    @property
    def made(self) -> World:
        """Return the world, fitted to the days."""
        return world(self.world, days=self.days)

    @property
    def dataset(self) -> str:
        """Return the name under which the users' attributes stand: each simulation has users of its own."""
        return f"simulated-{self.key.removeprefix('simulate-')}"

    @property
    def experiment(self) -> Experiment:
        """Return the experiment's definition, the same for the same settings."""
        made = self.made
        return Experiment(
            key=self.key,
            data=DataRule(self.dataset),
            arms=_arms(made.weights),
            hypothesis=made.told,
            layer=f"layer-{self.dataset}",
            surfaces=tuple(made.control),
            slate_size=SLATE_SIZE,
            days=self.days,
            primary=("home_card.play_duration",),
            guardrails=(Guardrail("home_card.visits", VISITS_MARGIN),),
            analysis=self._analysis,
        )

    @property
    def experiment_before(self) -> Experiment:
        """Return the definition of the week before, in which both arms are the control."""
        key = f"{self.key}-before"
        return replace(
            self.experiment,
            key=key,
            salt=key,
            hypothesis="both arms are the same",
            arms=_arms((0.5, 0.5)),
            days=BEFORE_DAYS,
            guardrails=(),
            analysis=AnalysisRule(covariates=()),
        )

    @property
    def _analysis(self) -> AnalysisRule:
        return AnalysisRule(
            monitoring=self.monitoring,
            users=None if self.monitoring == "fixed" else round(self.users * max(REACH.values())),
            looks=max(2, self.days) if self.monitoring == "group_sequential" else None,
            covariates=self.covariates,
            segments=self.segments or (),
        )

    def settings(self) -> dict[str, object]:
        """Return what decides every event and every row, ready for JSON, for the change log."""
        plain = asdict(self)
        return plain | {"covariates": list(self.covariates), "segments": list(self.segments or ())}


def truths(experiment: Experiment, control: Behaviours, treatment: Behaviours) -> tuple[Truth, ...]:
    """Work out the true lift of every row of an experiment.

    Args:
        experiment: the definition.
        control: what users do under the control.
        treatment: the same, treatment.
    """
    found = []
    for row in experiment.rows:
        of_control, of_treatment = (
            float(getattr(figures(each[row.surface], days=experiment.days), row.metric.name))
            for each in (control, treatment)
        )
        lift = of_treatment / of_control - 1.0
        found.append(Truth(row.surface, row.metric.name, TREATMENT, of_control, of_treatment, lift))
    return tuple(found)


def _arms(weights: tuple[float, float]) -> tuple[Arm, Arm]:
    control, treatment = weights
    return (
        Arm(CONTROL, RECOMMENDER, control, control=True),
        Arm(TREATMENT, RECOMMENDER, treatment, seed=1),
    )
