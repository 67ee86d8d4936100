"""The tables, as SQLAlchemy Core. Natural keys, UTC, time-ordered event ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: aware in Python on every engine, although SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a moment without a zone and store the rest in UTC.

        Raises:
            ValueError: for a naive datetime.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone; store moments in UTC")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment back in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Document = JSON().with_variant(JSONB(), "postgresql")

# What was ingested --------------------------------------------------------------------------------------------------

datasets = Table(
    "datasets",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("content_hash", String, nullable=False),
    Column("source", String, nullable=False),
    Column("interactions", Integer, nullable=False),
    Column("users", Integer, nullable=False),
    Column("titles", Integer, nullable=False),
    Column("bad_rows", Integer, nullable=False),
    Column("repeated_rows", Integer, nullable=False),
    Column("ingested_at", UtcDateTime, nullable=False),
)

titles = Table(
    "titles",
    metadata,
    Column("dataset", String, ForeignKey("datasets.dataset"), primary_key=True),
    Column("title_id", String, primary_key=True),
    Column("title", String, nullable=False),
    Column("genres", Document, nullable=False),
    Column("year", Integer),
)

# Rows that come by the million refer to nothing: PostgreSQL would look each reference up, a third of an ingest's time.

interactions = Table(
    "interactions",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("title_id", String, primary_key=True),
    Column("rating", Float),
    Column("at", UtcDateTime),
    sqlite_with_rowid=False,
)

user_attributes = Table(
    "user_attributes",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("value", String, nullable=False),
    sqlite_with_rowid=False,
    comment="What is known of a user apart from events, such as device or country; it must not depend on the arm.",
)

# What was trained and launched --------------------------------------------------------------------------------------

artifacts = Table(
    "artifacts",
    metadata,
    Column("artifact_id", String, primary_key=True),
    Column("recipe_hash", String, nullable=False, index=True),
    Column("recommender", String, nullable=False),
    Column("config", Document, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("dataset", String, nullable=False),
    Column("data_hash", String, nullable=False),
    Column("code_version", String, nullable=False),
    Column("scores", Document, nullable=False),
    Column("trained_at", UtcDateTime, nullable=False),
)

trials = Table(
    "trials",
    metadata,
    Column("trial_key", String, primary_key=True),
    Column("recommender", String, nullable=False),
    Column("config", Document, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("dataset", String, nullable=False),
    Column("data_hash", String, nullable=False),
    Column("code_version", String, nullable=False),
    Column("validation_ndcg", Float, nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("curve", Document, nullable=False, server_default="{}", comment="NDCG@100 by epoch"),
)

study_trials = Table(
    "study_trials",
    metadata,
    Column("study", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("recommender", String, nullable=False),
    Column("config", Document, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("dataset", String, nullable=False),
    Column("data_hash", String, nullable=False),
    Column("code_version", String, nullable=False),
    Column("state", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("curve", Document, nullable=False, comment="NDCG@100 by epoch"),
    Column("validation_ndcg", Float, comment="none unless it is complete"),
    Column("reason", Text),
    comment="Trials of a search by their number, also unfinished ones; a complete one is a trial too.",
)

experiments = Table(
    "experiments",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("layer", String, nullable=False, index=True),
    Column("layer_start", Integer, nullable=False),
    Column("layer_end", Integer, nullable=False),
    Column("definition", Document, nullable=False),
    Column("state", String, nullable=False),
    Column("traffic", Float, nullable=False),
    Column("launched_at", UtcDateTime, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("stopped_at", UtcDateTime),
    Column(
        "events_deleted_at",
        UtcDateTime,
        comment="since when raw events are on their way out: none is stored or counted any more; user-days stay",
    ),
    Column("fallback", String, comment="artifact of the popularity that serves where an arm fails"),
)

experiment_changes = Table(
    "experiment_changes",
    metadata,
    Column("change_id", Integer, primary_key=True, autoincrement=True),
    Column("experiment", String, ForeignKey("experiments.experiment"), nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String, nullable=False),
    Column("before", Document),
    Column("after", Document, nullable=False),
    Column("reason", Text),
)

arms = Table(
    "arms",
    metadata,
    Column("experiment", String, ForeignKey("experiments.experiment"), primary_key=True),
    Column("arm", String, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("is_control", Boolean(name="is_control"), nullable=False),
    Column("weight", Float, nullable=False),
    Column("artifact_id", String, ForeignKey("artifacts.artifact_id"), nullable=False),
)

assignments = Table(
    "assignments",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("arm", String, nullable=False),
    Column("arm_bucket", Integer, nullable=False),
    Column("layer_bucket", Integer, nullable=False),
    Column("traffic", Float, nullable=False, comment="share that was in when the user came in"),
    Column("assigned_at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
    comment="Registered users who are in; a copy, for reports and joins, of what the salts alone decide.",
)

# What users saw and did ---------------------------------------------------------------------------------------------

exposures = Table(
    "exposures",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("surface", String, primary_key=True),
    Column("arm", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("kind", String, nullable=False),
    Column("experiment", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("arm", String, nullable=False),
    Column("surface", String, nullable=False),
    Column("title_id", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("slate_id", Uuid),
    Column("position", Integer),
    Column("served_by", String),
    Column("impression_id", Uuid),
    Column("watch_seconds", Float),
    Column("latency_ms", Float),
    Index(None, "experiment", "user_id"),
    # By the days of the ids, see `partitions`; so the events of a day can go at once.
    postgresql_partition_by="RANGE (event_id)",
)

open_user_days = Table(
    "open_user_days",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("day", Date, primary_key=True),
    comment="Days of a user with events that are not rolled up yet; a late event opens its day again.",
    sqlite_with_rowid=False,
)

mixed_users = Table(
    "mixed_users",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column(
        "at", UtcDateTime, nullable=False, comment="first impression of a second arm; from that day on the user is out"
    ),
    sqlite_with_rowid=False,
)

# Who may ask, and who asked to be forgotten ---------------------------------------------------------------------------

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", String, primary_key=True),
    Column("client", String, nullable=False),
    Column("secret_hash", String, nullable=False, comment="sha256 of the secret, which is shown once and kept nowhere"),
    Column("scopes", Document, nullable=False),
    Column("experiments", Document, comment="keys it is for; none for every experiment"),
    Column("requests_per_second", Float),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

erasures = Table(
    "erasures",
    metadata,
    Column("user_digest", String, primary_key=True, comment="sha256 of the user id, which is kept nowhere"),
    Column("erased_at", UtcDateTime, nullable=False, comment="what happened before is not taken again"),
)

# What was computed --------------------------------------------------------------------------------------------------

user_days = Table(
    "user_days",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("surface", String, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("arm", String, nullable=False),
    Column("impressions", Integer, nullable=False),
    Column("slates", Integer, nullable=False),
    Column("visits", Integer, nullable=False),
    Column("clicks", Integer, nullable=False),
    Column("clicked_slates", Integer, nullable=False),
    Column("titles_watched", Integer, nullable=False),
    Column("watch_seconds", Float, nullable=False),
    Column("first_click_seconds", Float, nullable=False),
    Column("reciprocal_ranks", Float, nullable=False),
    Column("fallback_slates", Integer, nullable=False),
    Column("timed_slates", Integer, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("last_at", UtcDateTime, nullable=False, comment="time of the newest event that counts"),
    sqlite_with_rowid=False,
)

looks = Table(
    "looks",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("watermark", UtcDateTime, nullable=False),
    Column("users", Integer, nullable=False),
    Column("mixed_users", Integer, nullable=False),
    Column("told", Document, nullable=False, comment="how the rows were made, in sentences"),
)


def _figures() -> tuple[Column[Any], ...]:
    """Return the columns that a row of the table and its views share."""
    return (
        Column("alpha", Float, nullable=False),
        Column("interval_alpha", Float, nullable=False),
        Column("null_lift", Float, nullable=False),
        Column("watermark", UtcDateTime, nullable=False),
        Column("users_control", Integer, nullable=False),
        Column("users_treatment", Integer, nullable=False),
        Column("numerator_control", Float, nullable=False),
        Column("numerator_treatment", Float, nullable=False),
        Column("denominator_control", Float, nullable=False),
        Column("denominator_treatment", Float, nullable=False),
        Column("control", Float),
        Column("treatment", Float),
        Column("difference", Float),
        Column("difference_low", Float),
        Column("difference_high", Float),
        Column("lift", Float),
        Column("low", Float),
        Column("high", Float),
        Column("p_value", Float),
        Column("detectable", Float),
        Column("variance_saved", Float),
        Column("cap", Float),
        Column("reason", Text),
    )


lifts = Table(
    "lifts",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("surface", String, primary_key=True),
    Column("metric", String, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("method", String, nullable=False),
    Column("monitoring", String, nullable=False),
    Column("adjustment", String, nullable=False),
    *_figures(),
)

lift_views = Table(
    "lift_views",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("surface", String, primary_key=True),
    Column("metric", String, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("baseline", String, primary_key=True, comment="the arm that it is compared with"),
    Column("covariates", Boolean(name="covariates"), primary_key=True, comment="whether they took variance away"),
    Column("monitoring", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("method", String, nullable=False),
    Column("adjustment", String, nullable=False),
    *_figures(),
    comment="Rows of the table made other ways, so that a reader can switch between them; they decide nothing.",
)

truths = Table(
    "truths",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("surface", String, primary_key=True),
    Column("metric", String, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("control", Float),
    Column("treatment", Float),
    Column("lift", Float),
    Column("source", String, nullable=False, comment="a replay or a simulation"),
)

checks = Table(
    "checks",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("check", String, primary_key=True),
    Column("scope", String, primary_key=True, comment="'all', a surface, an arm, or a surface and an arm"),
    Column("status", String, nullable=False),
    Column("value", Float),
    Column("told", Text, nullable=False),
    Column("next_step", Text),
)

segment_lifts = Table(
    "segment_lifts",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("surface", String, primary_key=True),
    Column("metric", String, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("dimension", String, primary_key=True),
    Column("segment", String, primary_key=True),
    Column("users_control", Integer, nullable=False),
    Column("users_treatment", Integer, nullable=False),
    Column("control", Float),
    Column("treatment", Float),
    Column("lift", Float),
    Column("low", Float),
    Column("high", Float),
    Column("p_value", Float),
    Column("reason", Text),
)

segment_tests = Table(
    "segment_tests",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("surface", String, primary_key=True),
    Column("metric", String, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("dimension", String, primary_key=True),
    Column("statistic", Float),
    Column("degrees", Integer),
    Column("p_value", Float),
    Column("reason", Text),
)

decisions = Table(
    "decisions",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("outcome", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("days_left", Float),
)

sample_ratios = Table(
    "sample_ratios",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("as_of", Date, primary_key=True),
    Column("scope", String, primary_key=True, comment="a surface, 'all' for any of them, a phase, a segment"),
    Column("watermark", UtcDateTime, nullable=False),
    Column("arms", Document, nullable=False, comment="arm names, control first"),
    Column("counts", Document, nullable=False),
    Column("expected", Document, nullable=False),
    Column("chi2", Float),
    Column("p_value", Float),
    Column("e_value", Float),
    Column("alarm", Boolean(name="alarm"), nullable=False),
    Column("reason", Text),
)

documents = Table(
    "documents",
    metadata,
    Column("kind", String, primary_key=True, comment="what it is: comparison, geometry or training"),
    Column("name", String, primary_key=True, comment="of the data set, as a person called it, or an artifact"),
    Column("written_at", UtcDateTime, nullable=False),
    Column("content", Document, nullable=False),
    comment="What a command found, whole, for who shows it without computing it again.",
)

alerts = Table(
    "alerts",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("subject", String, primary_key=True, comment="what of the experiment: 'all', or an arm and a row"),
    Column("as_of", Date, nullable=False),
    Column("message", Text, nullable=False),
    Column("raised_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("cleared_at", UtcDateTime),
)

potential_outcomes = Table(
    "potential_outcomes",
    metadata,
    Column("experiment", String, primary_key=True),
    Column("user_id", String, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("surface", String, primary_key=True),
    Column("impressions", Integer, nullable=False),
    Column("clicks", Integer, nullable=False),
    Column("watch_seconds", Float, nullable=False),
    sqlite_with_rowid=False,
    comment="What a replayed user does under every arm, assigned or not: the truth that only a replay knows.",
)
