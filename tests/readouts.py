"""Readouts for the tests of reports and dashboard: counts of a small replay, and the figures they give."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from ab_platform.events import Surface
from ab_platform.metrics import Role
from ab_platform.results import (
    Check,
    CheckName,
    CheckStatus,
    DecisionRow,
    LiftRow,
    LiftView,
    Look,
    Readout,
    SampleRatioRow,
    Truth,
)
from ab_platform.statistics.monitoring import MonitoringName

AS_OF = date(2025, 3, 9)
WATERMARK = datetime(2025, 3, 9, 23, 58, 12, tzinfo=UTC)


def lift_row(
    surface: Surface = "home_card",
    metric: str = "play_duration",
    *,
    values: tuple[float, float] = (27.7, 74.6),
    lift: tuple[float, float, float] = (1.69, 1.50, 1.90),
    p_value: float = 1e-9,
    arm: str = "pia",
    role: Role = "secondary",
) -> LiftRow:
    """Build a row whose numerators and differences follow from its values."""
    views = {"click_rate_per_view": 40}.get(metric, 1)
    below = (3012.0 * views, 2988.0 * views)
    return LiftRow(
        experiment="pia-vs-multivae",
        as_of=AS_OF,
        surface=surface,
        metric=metric,
        arm=arm,
        role=role,
        method="fieller",
        monitoring="fixed",
        adjustment="none",
        alpha=0.05,
        interval_alpha=0.05,
        null_lift=0.0,
        watermark=WATERMARK,
        users_control=3012,
        users_treatment=2988,
        numerator_control=round(values[0] * below[0]),
        numerator_treatment=round(values[1] * below[1]),
        denominator_control=below[0],
        denominator_treatment=below[1],
        control=values[0],
        treatment=values[1],
        difference=values[1] - values[0],
        difference_low=lift[1] * abs(values[0]),
        difference_high=lift[2] * abs(values[0]),
        lift=lift[0],
        low=lift[1],
        high=lift[2],
        p_value=p_value,
        detectable=None,
        variance_saved=None,
        cap=None,
        reason=None,
    )


def absent(row: LiftRow, reason: str) -> LiftRow:
    """Take every computed number away from a row."""
    whole = replace(row, difference=None, difference_low=None, difference_high=None, detectable=None)
    return replace(whole, control=None, treatment=None, lift=None, low=None, high=None, p_value=None, reason=reason)


def views_of(row: LiftRow, *, baseline: str = "multi_vae", covariates: bool = False) -> tuple[LiftView, ...]:
    """Build the views of a row: for one look as it is, for any look half as wide again, and wider without covariates.

    Args:
        row: of the table, as it is with its covariates.
        baseline: the arm that it is compared with.
        covariates: whether the row has some, so that there are views with and without.
    """
    return tuple(
        LiftView(
            baseline,
            adjusted,
            replace(
                _widened(row, factor * (1.25 if covariates and not adjusted else 1.0)),
                monitoring=monitoring,
                adjustment="none",
                interval_alpha=row.alpha,
                variance_saved=0.36 if adjusted else None,
            ),
        )
        for adjusted in ((False, True) if covariates else (False,))
        for monitoring, factor in _MONITORED
    )


_MONITORED: tuple[tuple[MonitoringName, float], ...] = (("fixed", 1.0), ("sequential", 1.5))


def _widened(row: LiftRow, factor: float) -> LiftRow:
    """Stretch a row's intervals about their estimates."""

    def stretched(estimate: float | None, end: float | None) -> float | None:
        return end if factor == 1.0 or estimate is None or end is None else estimate + factor * (end - estimate)

    return replace(
        row,
        low=stretched(row.lift, row.low),
        high=stretched(row.lift, row.high),
        difference_low=stretched(row.difference, row.difference_low),
        difference_high=stretched(row.difference, row.difference_high),
    )


def check_row(
    check: CheckName = "mixed_users",
    status: CheckStatus = "healthy",
    *,
    scope: str = "all",
    value: float | None = 0.0,
    told: str = "0 of 6,000 users (0 %) were seen in several arms and are left out; at most 0.1 % may be",
    next_step: str | None = None,
) -> Check:
    """Build a check of the data."""
    return Check("pia-vs-multivae", AS_OF, check, scope, status, value, told, next_step)


def ratio_row(
    scope: str = "all",
    *,
    counts: tuple[int, int] = (3012, 2988),
    p_value: float | None = 0.757,
    e_value: float | None = 0.23,
) -> SampleRatioRow:
    """Build a check of two arms of equal weight."""
    half = sum(counts) / 2
    return SampleRatioRow(
        experiment="pia-vs-multivae",
        as_of=AS_OF,
        scope=scope,
        watermark=WATERMARK,
        arms=("multi_vae", "pia"),
        counts=counts,
        expected=(half, half),
        chi2=None if p_value is None else (counts[0] - half) ** 2 / half * 2,
        p_value=p_value,
        e_value=e_value,
        alarm=p_value is not None and p_value < 0.001,
        reason=None,
    )


# surface, metric, (control, treatment), (lift, low, high), p-value, (true control, treatment, lift)
_Figures = tuple[Surface, str, tuple[float, float], tuple[float, float, float], float, tuple[float, float, float]]
_FIGURES: tuple[_Figures, ...] = (
    ("home_card", "play_duration", (41.32, 43.18), (0.0450, 0.0121, 0.0791), 0.0069, (41.05, 42.66, 0.0392)),
    ("home_card", "click_rate_per_view", (0.0441, 0.0452), (0.0249, -0.0058, 0.0567), 0.113, (0.0439, 0.0447, 0.0182)),
    ("home_card", "click_rate_per_user", (0.3127, 0.3312), (0.0592, -0.0148, 0.1391), 0.121, (0.314, 0.3259, 0.0379)),
    ("movie_card", "play_duration", (18.94, 21.07), (0.1125, 0.0331, 0.1975), 0.0048, (19.20, 20.59, 0.0724)),
    ("movie_card", "click_rate_per_view", (0.0338, 0.0311), (-0.08, -0.1412, -0.0152), 0.0161, (0.0329, 0.033, 0.003)),
    ("movie_card", "click_rate_per_user", (0.2413, 0.2439), (0.0108, -0.0771, 0.107), 0.815, (0.2398, 0.2474, 0.0317)),
)

ROWS = tuple(
    replace(
        lift_row(surface, metric, values=values, lift=lift, p_value=p_value),
        role="primary" if (surface, metric) == ("home_card", "play_duration") else "secondary",
        detectable=(lift[2] - lift[1]) * 0.714,
    )
    for surface, metric, values, lift, p_value, _ in _FIGURES
)
TRUTHS = tuple(Truth(surface, metric, "pia", *true) for surface, metric, _, _, _, true in _FIGURES)


DECISION = DecisionRow(
    experiment="pia-vs-multivae",
    as_of=AS_OF,
    arm="pia",
    outcome="ship",
    reason="home_card.play_duration is significantly better and no primary row is shown to be worse; "
    "there are no guardrails",
    days_left=None,
)
LOOK = Look(
    experiment="pia-vs-multivae",
    as_of=AS_OF,
    watermark=WATERMARK,
    users=6000,
    mixed_users=0,
    told=(
        "Monitoring: fixed, one look at the planned end.",
        "Multiplicity: one primary row needs no adjustment; secondary rows and guardrails are not adjusted.",
        "Covariates: none.",
    ),
)


def readout(
    lifts: tuple[LiftRow, ...] = ROWS,
    *,
    ratios: tuple[SampleRatioRow, ...] = (ratio_row(), ratio_row("home_card"), ratio_row("movie_card")),
    truths: tuple[Truth, ...] = TRUTHS,
    labels: tuple[tuple[str, str], ...] = (("multi_vae", "multi_vae"), ("pia", "pia (alignment 0.3)")),
    decisions: tuple[DecisionRow, ...] = (DECISION,),
) -> Readout:
    """Gather rows into a readout of an experiment that names no metrics of its own."""
    return Readout(
        "pia-vs-multivae", AS_OF, WATERMARK, lifts, ratios, truths, dict(labels), {}, decisions=decisions, look=LOOK
    )
