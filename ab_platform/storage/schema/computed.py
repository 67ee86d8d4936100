"""The tables of what was computed: user-days, results by day, checks, decisions, documents and alerts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Date, Float, Integer, String, Table, Text

from ab_platform.storage.schema.columns import Document, UtcDateTime, metadata

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

changed_days = Table(
    "changed_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("changed", Integer, nullable=False, comment="transactions that changed rows of the day"),
    Column("archived", Integer, nullable=False, comment="how many of them the archive holds; fewer where it is stale"),
    comment="Days of user-days, exposures and events, and whether the archive holds them as they are.",
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
