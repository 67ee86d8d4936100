"""Write what the dashboard reads: experiments and analyses, through the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from ab_platform.events import SURFACES
from ab_platform.experiment import AnalysisRule, Arm, DataRule, Experiment
from ab_platform.lineage import Artifact, Launch, Recipe
from ab_platform.metrics import Metric
from ab_platform.results import Outcome, Readout
from ab_platform.storage.store import Store, Stored

STARTS_AT = datetime(2025, 3, 3, tzinfo=UTC)

ARMS = (
    Arm("multi_vae", "multi_vae", 0.5, control=True),
    Arm("pia", "pia", 0.5, config={"alignment": 0.3}),
)


def launch(
    store: Store,
    key: str = "pia-vs-multivae",
    *,
    buckets: tuple[int, int] = (0, 10_000),
    days: int = 7,
    metrics: tuple[Metric, ...] = (),
    arms: tuple[Arm, ...] = ARMS,
    starts_at: datetime = STARTS_AT,
    segments: tuple[str, ...] = (),
) -> Launch:
    """Launch an experiment whose arms were never trained; the metrics are its own, as secondary rows."""
    for arm in arms:
        recipe = Recipe(arm.recommender, arm.config, 0, "small", "hash", "version")
        store.register(Artifact(f"artifact-of-{arm.name}", recipe, {}, STARTS_AT))
    hypothesis = "Item anchors make slates that people play for longer."
    launched = Launch(
        experiment=Experiment(
            key,
            DataRule("small"),
            arms,
            hypothesis=hypothesis,
            layer_buckets=buckets,
            days=days,
            metrics=metrics,
            analysis=AnalysisRule(segments=segments),
            secondary=tuple(f"home_card.{each.name}" for each in metrics),
        ),
        artifacts={arm.name: f"artifact-of-{arm.name}" for arm in arms},
        state="running",
        traffic=1.0,
        launched_at=starts_at + timedelta(seconds=buckets[0]),
        starts_at=starts_at,
        ends_at=starts_at + timedelta(days=days),
    )
    store.launch(launched)
    return launched


def analyse(store: Store, found: Readout, *, key: str = "pia-vs-multivae", as_of: date | None = None) -> None:
    """Store an analysis, under another key or day if wanted."""
    day = as_of or found.as_of
    assert found.look is not None
    store.write_readout(
        Stored(
            replace(found.look, experiment=key, as_of=day),
            tuple(replace(row, experiment=key, as_of=day) for row in found.lifts),
            tuple(replace(row, experiment=key, as_of=day) for row in found.sample_ratios),
            tuple(replace(row, experiment=key, as_of=day) for row in found.decisions),
            tuple(replace(row, experiment=key, as_of=day) for row in found.segments),
            tuple(replace(row, experiment=key, as_of=day) for row in found.segment_tests),
            tuple(replace(each, row=replace(each.row, experiment=key, as_of=day)) for each in found.views),
            tuple(replace(row, experiment=key, as_of=day) for row in found.checks),
            found.truths if found.truth_from else (),
            found.truth_from,
        )
    )


def replay(store: Store, key: str = "pia-vs-multivae", *, users: int = 50) -> None:
    """Store what replayed users do under both arms: the treatment is clicked as often and played for 5 % longer."""
    store.record([], list(_outcomes(key, users)))


def _outcomes(key: str, users: int) -> Iterator[Outcome]:
    for number in range(users):
        for surface in SURFACES:
            yield Outcome(key, f"user{number}", "multi_vae", surface, 40, 2, 80.0)
            yield Outcome(key, f"user{number}", "pia", surface, 40, 2, 84.0)
