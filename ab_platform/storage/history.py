"""Statements on what was computed that go over every experiment, or over every day of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, Table, func, select

from ab_platform.results import Check, DecisionRow, Headline, LiftRow, LiftView, SampleRatioRow
from ab_platform.storage import experiments, results
from ab_platform.storage.schema import arms, checks, decisions, lift_views, lifts, sample_ratios

OfExperiment = TypeVar("OfExperiment", Check, DecisionRow, SampleRatioRow)


def headlines(connection: Connection) -> tuple[Headline, ...]:
    """Return the first primary row of each treatment, of every experiment and day; by experiment, arm and day."""
    # By place, not by name: of a hundred experiments these are thousands of rows.
    columns = [lifts.c[field.name] for field in fields(LiftRow)]
    query = select(*columns).where(lifts.c.role == "primary")
    ordered = query.order_by(lifts.c.experiment, lifts.c.arm, lifts.c.as_of)
    rows = [LiftRow(*row) for row in connection.execute(ordered).all()]
    return tuple(
        Headline(row.experiment, row.as_of, row)
        for key, found in groupby(rows, key=lambda row: row.experiment)
        for row in _first(connection, key, list(found))
    )


def newest_decisions(connection: Connection) -> Mapping[str, tuple[DecisionRow, ...]]:
    """Return the decisions of each experiment's newest analysis, by its key."""
    return _by_experiment(DecisionRow(**row) for row in _newest(connection, decisions))


def newest_sample_ratios(connection: Connection) -> Mapping[str, tuple[SampleRatioRow, ...]]:
    """Return the checks of the split in each experiment's newest analysis, by its key."""
    return _by_experiment(SampleRatioRow(**row) for row in _newest(connection, sample_ratios))


def newest_checks(connection: Connection) -> Mapping[str, tuple[Check, ...]]:
    """Return the checks of the data in each experiment's newest analysis, by its key."""
    return _by_experiment(Check(**row) for row in _newest(connection, checks))


def lift_history(connection: Connection, experiment: str) -> tuple[LiftView, ...]:
    """Return the views against the control of every day that was analysed, the oldest first."""
    control = select(arms.c.arm).where(arms.c.experiment == experiment, arms.c.is_control).scalar_subquery()
    query = select(lift_views).where(lift_views.c.experiment == experiment, lift_views.c.baseline == control)
    # The key begins with the experiment and the day.
    ordered = query.order_by(*lift_views.primary_key)
    return tuple(results.view(row) for row in results.plain(connection.execute(ordered)))


def _first(connection: Connection, experiment: str, rows: list[LiftRow]) -> Iterator[LiftRow]:
    """Leave those of the first primary row; the definition is read only where there are several."""
    names = {f"{row.surface}.{row.metric}" for row in rows}
    first = names.pop() if len(names) == 1 else experiments.get(connection, experiment).experiment.primary[0]
    return (row for row in rows if f"{row.surface}.{row.metric}" == first)


def _newest(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    """Read a table's rows of each experiment's newest analysis, in the order of their keys."""
    newest = _newest_days().subquery()
    same = (newest.c.experiment == table.c.experiment) & (newest.c.as_of == table.c.as_of)
    query = select(table).join(newest, same).order_by(*table.primary_key)
    return results.plain(connection.execute(query))


def _newest_days() -> Select[Any]:
    return select(lifts.c.experiment, func.max(lifts.c.as_of).label("as_of")).group_by(lifts.c.experiment)


def _by_experiment(rows: Iterable[OfExperiment]) -> Mapping[str, tuple[OfExperiment, ...]]:
    return {key: tuple(found) for key, found in groupby(rows, key=lambda row: row.experiment)}
