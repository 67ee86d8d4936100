"""The tables, as SQLAlchemy Core. Natural keys, UTC, time-ordered event ids."""

from ab_platform.storage.schema.access import erasures, tokens
from ab_platform.storage.schema.columns import Document, UtcDateTime, metadata
from ab_platform.storage.schema.computed import (
    alerts,
    changed_days,
    checks,
    decisions,
    documents,
    lift_views,
    lifts,
    looks,
    potential_outcomes,
    sample_ratios,
    segment_lifts,
    segment_tests,
    truths,
    user_days,
)
from ab_platform.storage.schema.happened import events, exposures, mixed_users, open_user_days
from ab_platform.storage.schema.ingested import datasets, interactions, titles, user_attributes
from ab_platform.storage.schema.launched import (
    arms,
    artifacts,
    assignments,
    experiment_changes,
    experiments,
    study_trials,
    trials,
)

__all__ = [
    "Document",
    "UtcDateTime",
    "alerts",
    "arms",
    "artifacts",
    "assignments",
    "changed_days",
    "checks",
    "datasets",
    "decisions",
    "documents",
    "erasures",
    "events",
    "experiment_changes",
    "experiments",
    "exposures",
    "interactions",
    "lift_views",
    "lifts",
    "looks",
    "metadata",
    "mixed_users",
    "open_user_days",
    "potential_outcomes",
    "sample_ratios",
    "segment_lifts",
    "segment_tests",
    "study_trials",
    "titles",
    "tokens",
    "trials",
    "truths",
    "user_attributes",
    "user_days",
]
