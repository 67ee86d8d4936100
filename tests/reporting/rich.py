"""A readout with all that an experiment can ask for: looks at any time, Holm, guardrails, own metrics and segments."""

from __future__ import annotations

from dataclasses import replace

from ab_platform.events import Surface
from ab_platform.metrics import Metric, Row, metric
from ab_platform.results import DecisionRow, LiftRow, Look, Readout, SegmentRow, SegmentTestRow
from tests.readouts import AS_OF, LOOK, WATERMARK, lift_row, ratio_row, readout

OWN = Metric("titles_a_visit", "Titles watched per visit", "titles_watched", "visits")

ROLES: tuple[Row, ...] = (
    Row("home_card", metric("play_duration"), "primary"),
    Row("home_card", metric("click_rate_per_view"), "primary"),
    Row("home_card", metric("click_rate_per_user")),
    Row("home_card", OWN),
    Row("home_card", metric("play_duration_winsorised")),
    Row("home_card", metric("latency"), "guardrail", 0.05),
    Row("home_card", metric("fallback_rate"), "guardrail", 0.1),
    Row("home_card", metric("retention_day_1"), "guardrail", 0.02),
    Row("movie_card", metric("play_duration")),
    Row("movie_card", metric("play_duration_median")),
)

# metric, (control, treatment), (lift, low, high), p-value, by surface
_HOME: tuple[tuple[str, tuple[float, float], tuple[float, float, float], float], ...] = (
    ("play_duration", (41.32, 43.18), (0.0450, 0.0102, 0.0812), 0.0138),
    ("click_rate_per_view", (0.0441, 0.0452), (0.0249, -0.0105, 0.0615), 0.113),
    ("click_rate_per_user", (0.3127, 0.3312), (0.0592, -0.0148, 0.1391), 0.121),
    ("titles_a_visit", (1.214, 1.302), (0.0725, 0.0211, 0.1251), 0.0049),
    ("play_duration_winsorised", (38.1, 39.9), (0.0472, 0.0188, 0.0763), 0.0012),
    ("latency", (48.31, 48.52), (0.0043, -0.0061, 0.0149), 1e-6),
    ("fallback_rate", (0.0021, 0.0029), (0.381, 0.152, 0.655), 0.003),
    ("retention_day_1", (0.4012, 0.3989), (-0.0057, -0.0391, 0.0288), 0.41),
)
_MOVIE: tuple[tuple[str, tuple[float, float], tuple[float, float, float], float], ...] = (
    ("play_duration", (18.94, 21.07), (0.1125, 0.0331, 0.1975), 0.0048),
    ("play_duration_median", (6.2, 6.4), (0.0323, -0.0811, 0.1621), 0.61),
)


def _rows() -> tuple[LiftRow, ...]:
    surfaces: tuple[tuple[Surface, tuple[tuple[str, tuple[float, float], tuple[float, float, float], float], ...]], ...]
    surfaces = (("home_card", _HOME), ("movie_card", _MOVIE))
    roles = {(row.surface, row.metric.name): row for row in ROLES}
    return tuple(
        replace(
            lift_row(surface, name, values=values, lift=lift, p_value=p_value, role=roles[surface, name].role),
            monitoring="sequential",
            null_lift=roles[surface, name].null,
            detectable=(lift[2] - lift[1]) * 0.714,
        )
        for surface, figures in surfaces
        for name, values, lift, p_value in figures
    )


def _lifts() -> tuple[LiftRow, ...]:
    rows = list(_rows())
    rows[0] = replace(rows[0], adjustment="holm", interval_alpha=0.025, variance_saved=0.312)
    rows[1] = replace(rows[1], adjustment="holm", variance_saved=0.187)
    rows[4] = replace(rows[4], cap=612.4)
    return tuple(rows)


# dimension -> segment, (users control, treatment), (lift, low, high)
_BY_SEGMENT: dict[str, tuple[tuple[str, tuple[int, int], tuple[float, float, float]], ...]] = {
    "interactions": (
        ("5-9", (1204, 1187), (0.021, -0.031, 0.0761)),
        ("10-19", (952, 961), (0.0512, -0.0021, 0.1081)),
        ("20+", (856, 840), (0.0731, 0.0144, 0.1353)),
    ),
    "device": (
        ("phone", (2011, 1990), (0.0391, 0.0012, 0.0791)),
        ("television", (988, 987), (0.0613, -0.0071, 0.1342)),
        ("unknown", (13, 11), (0.4, -0.7, 3.1)),
    ),
    "days since exposure": (
        ("0", (3012, 2988), (0.091, 0.042, 0.1421)),
        ("1", (2801, 2790), (0.0521, 0.0011, 0.1052)),
        ("2", (2512, 2498), (0.0172, -0.0411, 0.0781)),
        ("10", (804, 799), (0.0021, -0.101, 0.116)),
    ),
}


def _segments(name: str) -> list[SegmentRow]:
    return [
        SegmentRow(
            experiment="pia-vs-multivae",
            as_of=AS_OF,
            surface="home_card",
            metric=name,
            arm="pia",
            dimension=dimension,
            segment=segment,
            users_control=users[0],
            users_treatment=users[1],
            control=40.0,
            treatment=40.0 * (1 + lift[0]),
            lift=lift[0],
            low=lift[1],
            high=lift[2],
            p_value=0.2,
            reason=None,
        )
        for dimension, segments in _BY_SEGMENT.items()
        for segment, users, lift in segments
    ]


def segment_test(name: str, dimension: str, p_value: float | None, reason: str | None = None) -> SegmentTestRow:
    """Build a test between the segments of a dimension."""
    found = (None, None) if p_value is None else (3.2, 2)
    return SegmentTestRow(
        "pia-vs-multivae", AS_OF, "home_card", name, "pia", dimension, found[0], found[1], p_value, reason
    )


TESTS = (
    segment_test("play_duration", "interactions", 0.41),
    segment_test("play_duration", "device", 0.004),
    segment_test("click_rate_per_view", "interactions", 0.93),
    segment_test("click_rate_per_view", "device", None, "1 segment has a variance; at least 2 are required"),
    segment_test("titles_a_visit", "device", 0.5),
)

RICH_LOOK = Look(
    experiment=LOOK.experiment,
    as_of=AS_OF,
    watermark=WATERMARK,
    users=6000,
    mixed_users=12,
    told=(
        "Monitoring: sequential (asymptotic confidence sequence tuned for 6,000 users); it may be looked at any time.",
        "Multiplicity: 2 primary rows are adjusted by Holm's method; secondary rows and guardrails are not adjusted.",
        "Covariates: before.",
    ),
)

RICH_DECISION = DecisionRow(
    experiment="pia-vs-multivae",
    as_of=AS_OF,
    arm="pia",
    outcome="keep running",
    reason="home_card.play_duration is significantly better, but home_card.retention_day_1 is not shown to be within "
    "2 %; about 3 days left",
    days_left=3.2,
)


def rich() -> Readout:
    """Build the readout."""
    scopes = ("phase 1, traffic 10 %", "phase 2, traffic 100 %", "device phone", "device television")
    tiny = ratio_row("device unknown", counts=(3, 1), p_value=None, e_value=0.9)
    reason = "the smallest arm expects 2 users; at least 5 are required"
    segments = [*_segments("play_duration"), *_segments("click_rate_per_view"), *_segments("titles_a_visit")]
    return replace(
        readout(
            _lifts(),
            ratios=(
                ratio_row(),
                ratio_row("home_card"),
                ratio_row("movie_card"),
                *(ratio_row(scope, counts=(1510, 1490)) for scope in scopes),
                replace(tiny, reason=reason),
            ),
            truths=(),
            decisions=(RICH_DECISION,),
        ),
        rows={(row.surface, row.metric.name): row for row in ROLES},
        segments=tuple(segments),
        segment_tests=TESTS,
        look=RICH_LOOK,
    )
