"""Analyze one experiment as of a day, store what was found, and read it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from ab_platform.analysis import deciding
from ab_platform.analysis.checks import Data, checks
from ab_platform.analysis.comparing import (
    PREDICTORS,
    Compared,
    by_surface,
    from_groups,
    from_moments,
    from_rows,
    moments_of,
)
from ab_platform.analysis.looks import Monitored, monitored
from ab_platform.analysis.order import Order
from ab_platform.analysis.plan import BEFORE, PREDICTION, RowPlan, plan_rows
from ab_platform.analysis.segments import Dimensions, age_rows, ages_apply, batches, segment_rows
from ab_platform.analysis.split import split_rows
from ab_platform.analysis.table import Inferred, lift_rows
from ab_platform.analysis.truth import truths
from ab_platform.analysis.views import Compare, lift_views
from ab_platform.errors import ExperimentError, NotFoundError, nearest
from ab_platform.experiment import Experiment
from ab_platform.lineage import Change, Launch
from ab_platform.results import Look, Readout, Truth, TruthSource
from ab_platform.statistics.moments import Moments
from ab_platform.storage.store import (
    Cell,
    ExposedOn,
    PerUser,
    Population,
    Store,
    Stored,
    TitleGroups,
    UserValues,
    Wanted,
)

if TYPE_CHECKING:
    from ab_platform.storage.warehouse.reads import UserReads


@dataclass(frozen=True, eq=False)
class Users:
    """What was read of the users.

    Attributes:
        population: who they are.
        cells: exact sums, by the dimensions that divided them.
        rows: the users' own rows by surface, where a row of the table needs them.
        columns: of those rows.
        groups: titles that groups of users were shown, where a row of the table needs them.
        exposed: how many were exposed on each surface and day.
    """

    population: Population
    cells: Mapping[Dimensions, Sequence[Cell]]
    rows: Mapping[str, UserValues]
    columns: tuple[PerUser, ...]
    groups: tuple[TitleGroups, ...]
    exposed: tuple[ExposedOn, ...]


@dataclass(frozen=True, eq=False)
class Due:
    """An analysis that is due.

    Attributes:
        launch: of the experiment.
        population: its users, as of the last day that counts.
        plans: of the rows of the table.
        dimensions: that divide the users, by the query that they are divided in.
        watermark: time of the newest event.
    """

    launch: Launch
    population: Population
    plans: tuple[RowPlan, ...]
    dimensions: tuple[Dimensions, ...]
    watermark: datetime

    @property
    def wanted(self) -> Wanted:
        """Say what it asks of its users."""
        segments = self.launch.experiment.analysis.segments
        return Wanted(self.population, _families(self.plans), self.dimensions, tuple(segments), _ages(self.plans))


def analyze(store: Store, key: str, *, as_of: date | None = None, reads: UserReads | None = None) -> Readout:
    """Roll up what is new, compute every row of the table, and store it by `as_of`.

    Args:
        store: holds experiments and results.
        key: the experiment.
        as_of: last day (UTC, inclusive) that counts; by default the day of the newest event.
        reads: what reads the users; the store by default. Whoever does gives the same digits.

    Raises:
        NotFoundError: for an unknown experiment, or one without a single event.
        ExperimentError: for a segment or covariate that nothing is stored of.
    """
    launch = store.experiment(key)
    # Of every experiment: what users did in earlier ones takes variance out of this one.
    reads = reads or store
    reads.roll_up()
    attributes = reads.attributes(launch.experiment.data.dataset)
    return analyzed(store, reads, due(store, launch, reads.watermark(key, as_of), attributes, as_of=as_of))


def due(
    store: Store,
    launch: Launch,
    watermark: datetime | None,
    attributes: Mapping[str, int],
    *,
    as_of: date | None = None,
    launches: Sequence[Launch] | None = None,
) -> Due:
    """Say what an analysis is made of, once what is new is rolled up.

    Args:
        store: holds the experiments.
        launch: of the experiment.
        watermark: time of its newest event up to `as_of`.
        attributes: distinct values of each user attribute of its data set.
        as_of: last day that counts; by default the day of the newest event.
        launches: every one that the store has, where they were read already.

    Raises:
        NotFoundError: without an event.
        ExperimentError: for a segment or covariate that nothing is stored of.
    """
    key = launch.experiment.key
    if watermark is None:
        raise NotFoundError(f"{key} has no events that count yet; replay visits: `abp replay {key}`")
    population = population_of(store, launch, as_of or watermark.astimezone(UTC).date(), launches=launches)
    _require_covariates(launch.experiment, attributes)
    days = (population.as_of - launch.starts_at.astimezone(UTC).date()).days + 1
    plans = plan_rows(launch.experiment, before=bool(population.earlier))
    return Due(launch, population, plans, batches(launch.experiment, attributes, days), watermark)


def analyzed(store: Store, reads: UserReads, due: Due) -> Readout:
    """Compute every row of the table, and store it."""
    store.write_readout(_stored(store, reads, due, _read_users(reads, due)))
    return readout(store, due.launch.experiment.key, as_of=due.population.as_of)


def readout(store: Store, key: str, *, as_of: date | None = None) -> Readout:
    """Read the stored results of one experiment.

    Args:
        store: holds the results.
        key: the experiment.
        as_of: which analysis; the newest by default.

    Raises:
        NotFoundError: for an unknown experiment, or a day that was not analysed.
    """
    launch = store.experiment(key)
    stored = store.readout(key, as_of)
    if stored is None:
        when = "yet" if as_of is None else f"as of {as_of}"
        raise NotFoundError(f"{key} is not analysed {when}; run `abp analyze {key}`")
    experiment = launch.experiment
    order = Order.of(experiment)
    first = stored.lifts[0]
    known, known_from = _known(store, experiment, stored)
    return Readout(
        experiment=key,
        as_of=first.as_of,
        watermark=first.watermark,
        lifts=tuple(sorted(stored.lifts, key=order.row)),
        sample_ratios=tuple(sorted(stored.sample_ratios, key=lambda each: order.scope(each.scope))),
        truths=tuple(sorted(known, key=order.row)),
        labels=_labels(experiment),
        rows={(row.surface, row.metric.name): row for row in experiment.rows},
        decisions=stored.decisions,
        segments=tuple(sorted(stored.segments, key=order.segment)),
        segment_tests=tuple(sorted(stored.segment_tests, key=order.row)),
        look=stored.look,
        truth_from=known_from,
        views=tuple(sorted(stored.views, key=order.view)),
        checks=tuple(sorted(stored.checks, key=order.check)),
    )


def _known(store: Store, experiment: Experiment, stored: Stored) -> tuple[tuple[Truth, ...], TruthSource | None]:
    """Return the true lifts as they were stored; those of an analysis by an earlier version are computed anew."""
    if stored.views:
        return stored.truths, stored.truth_from
    changes = store.changes(experiment.key)
    known = truths(experiment, store.outcomes(experiment.key), changes)
    return known, _truth_from(known, changes)


def _truth_from(known: Sequence[Truth], changes: Sequence[Change]) -> TruthSource | None:
    if not known:
        return None
    return "simulation" if any(change.action == "simulate" for change in changes) else "replay"


def population_of(store: Store, launch: Launch, as_of: date, *, launches: Sequence[Launch] | None = None) -> Population:
    """Say whose rows an analysis is made of, and in which experiments they were seen before; arguments as in `due`."""
    rule = launch.experiment.analysis
    dataset = launch.experiment.data.dataset
    if not {BEFORE, PREDICTION} & set(rule.covariates):
        return Population(launch.experiment.key, as_of, dataset, covariate_days=rule.covariate_days)
    reach = launch.starts_at - timedelta(days=rule.covariate_days)
    earlier = [
        each
        for each in (store.experiments() if launches is None else launches)
        if each.experiment.key != launch.experiment.key
        and each.experiment.data.dataset == dataset
        and each.starts_at < launch.ends_at
        and _end(each) > reach
    ]
    # The last exposures that count are of the day as of which the analysis is made.
    since = as_of - timedelta(days=rule.covariate_days)
    first_day = launch.starts_at.astimezone(UTC).date()
    ended = all(_day(each.starts_at) >= since and _day(_last_moment(each)) < first_day for each in earlier)
    keys = tuple(sorted(each.experiment.key for each in earlier))
    return Population(launch.experiment.key, as_of, dataset, keys, rule.covariate_days, ended_before=ended)


def _end(launch: Launch) -> datetime:
    return launch.stopped_at or launch.ends_at


def _last_moment(launch: Launch) -> datetime:
    """Return the last moment whose events count: the end is exclusive."""
    return max(launch.starts_at, _end(launch) - timedelta(microseconds=1))


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _read_users(reads: UserReads, due: Due) -> Users:
    population, plans = due.population, due.plans
    families = _families(plans)
    cells = {dimensions: reads.cells(population, families, dimensions) for dimensions in due.dimensions}
    columns = _row_columns(due.launch.experiment, plans)
    rows = by_surface(reads.user_values(population, columns)) if columns else {}
    covered = any(plan.row.metric.statistic == "coverage" for plan in plans)
    groups = reads.title_groups(population) if covered else ()
    return Users(population, cells, rows, columns, groups, reads.exposed_by_day(population))


def _families(plans: Sequence[RowPlan]) -> tuple[tuple[PerUser, ...], ...]:
    """Return the columns of each row that sums will do for, each family once."""
    return tuple(dict.fromkeys(plan.columns for plan in plans if plan.row.metric.statistic == "mean"))


def _row_columns(experiment: Experiment, plans: Sequence[RowPlan]) -> tuple[PerUser, ...]:
    needed = [column for plan in plans if plan.needs_rows for column in plan.columns]
    if any(plan.predicted for plan in plans):
        known = [name for name in experiment.analysis.covariates if name not in (BEFORE, PREDICTION)]
        needed += [*PREDICTORS, *(PerUser(name, "attribute") for name in known)]
    return tuple(dict.fromkeys(needed))


def _require_covariates(experiment: Experiment, attributes: Mapping[str, int]) -> None:
    for name in experiment.analysis.covariates:
        if name not in (BEFORE, PREDICTION) and name not in attributes:
            known = nearest(name, [*attributes, BEFORE, PREDICTION])
            raise ExperimentError(
                f"covariate '{name}' is no user attribute of the data set; {known}", ("analysis", "covariates")
            )


def _stored(store: Store, reads: UserReads, due: Due, users: Users) -> Stored:
    launch, plans, watermark, as_of = due.launch, due.plans, due.watermark, due.population.as_of
    experiment = launch.experiment
    look = monitored(launch, users.exposed, as_of)
    compare = _comparing(launch, users)
    control = experiment.control.name
    found = [
        Inferred(plan, arm.name, compare(plan, control, arm.name)) for plan in plans for arm in experiment.treatments
    ]
    lifts = lift_rows(experiment, found, look, as_of=as_of, watermark=watermark)
    dimensions = experiment.analysis.segments
    first = reads.first_exposed(users.population, dimensions)
    changes = store.changes(experiment.key)
    splits = split_rows(launch, changes, users.exposed, first, dimensions, as_of=as_of, watermark=watermark)
    rows, tests = segment_rows(experiment, plans, users.cells, look, as_of=as_of)
    families = _ages(plans)
    ages = reads.by_age(users.population, families) if families else ()
    counted = Look(
        experiment.key,
        as_of,
        watermark,
        sum(each.users for each in first),
        reads.mixed_users(experiment.key, as_of),
        _told(experiment, users.population, look),
    )
    known = truths(experiment, store.outcomes(experiment.key), changes)
    counts = reads.day_counts(experiment.key, as_of)
    dataset = store.dataset(users.population.dataset)
    return Stored(
        counted,
        lifts,
        splits,
        deciding.decisions(launch, lifts, splits, counted, first, absent=look.absent),
        (*rows, *age_rows(experiment, plans, ages, users.exposed, look, as_of=as_of)),
        tests,
        views=lift_views(
            experiment,
            plans,
            compare,
            population=0 if dataset is None else dataset.users,
            as_of=as_of,
            watermark=watermark,
        ),
        checks=checks(Data(launch, changes, counted, counts, users.exposed, splits)),
        truths=known,
        truth_from=_truth_from(known, changes),
    )


def _ages(plans: Sequence[RowPlan]) -> tuple[tuple[PerUser, ...], ...]:
    """Return the columns of each row that is looked at by days since the exposure."""
    return tuple(plan.columns[: len(plan.row.metric.columns)] for plan in plans if ages_apply(plan))


def _comparing(launch: Launch, users: Users) -> Compare:
    """Return what compares two arms in a row by what was read, each pair once."""
    cells = next(iter(users.cells.values()))

    @cache
    def moments(plan: RowPlan, arm: str) -> Moments:
        return moments_of(plan, cells, arm)

    @cache
    def compare(plan: RowPlan, baseline: str, arm: str) -> Compared:
        rows = users.rows.get(plan.row.surface)
        if plan.row.metric.statistic == "coverage":
            return from_groups(plan, users.groups, launch, baseline, arm)
        if plan.needs_rows and rows is not None:
            return from_rows(plan, rows, users.columns, baseline, arm)
        return from_moments(plan, moments(plan, baseline), moments(plan, arm))

    return compare


def _told(experiment: Experiment, population: Population, look: Monitored) -> tuple[str, ...]:
    rule = experiment.analysis
    primary = len(experiment.primary) * len(experiment.treatments)
    adjusted = {
        "holm": "by Holm's method",
        "benjamini_hochberg": "by Benjamini and Hochberg's method",
        "none": "for nothing",
    }[rule.adjustment]
    family = f"{primary} primary rows are adjusted {adjusted}" if primary > 1 else "one primary row needs no adjustment"
    names = [name for name in rule.covariates if population.earlier or name not in (BEFORE, PREDICTION)]
    return (
        look.told,
        f"Multiplicity: {family}; secondary rows and guardrails are not adjusted.",
        f"Covariates: {', '.join(names) or 'none'}.",
    )


def _labels(experiment: Experiment) -> dict[str, str]:
    """Say what each arm is, control first, by the settings that not all arms share."""
    shared = set.intersection(*(set(arm.config.items()) for arm in experiment.arms))
    labels = {}
    for arm in (experiment.control, *experiment.treatments):
        own = ", ".join(f"{name} {value}" for name, value in arm.config.items() if (name, value) not in shared)
        labels[arm.name] = f"{arm.recommender} ({own})" if own else arm.recommender
    return labels
