"""A home with all that a page may meet: calm and troubled experiments, several arms, many days, and none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ab_platform.alerts import Alert
from ab_platform.experiment import Arm, DataRule, Experiment
from ab_platform.lineage import Artifact, Launch, Recipe
from ab_platform.results import Check, LiftRow, Readout, SampleRatioRow
from ab_platform.storage.store import Store, open_store
from tests.dashboards.stored import STARTS_AT, analyse, launch, replay
from tests.golden.make_reports import troubled
from tests.readouts import AS_OF, DECISION, check_row, lift_row, ratio_row, readout, views_of
from tests.reporting.rich import OWN, rich

DAYS = 7
CALM, TROUBLED, RICH, SEVERAL, WAITING = "pia-vs-multivae", "troubled", "rich", "several-arms", "not-analysed"

CHECKS = (
    check_row(),
    check_row("logging_delay", told="the newest event that counts is 2 min before the day's end; at most 3 h may pass"),
    check_row("fallbacks", value=0.002, told="0.20 % of impressions were made by the fallback; at most 1 % should be"),
    check_row("missing_data", told="every day, surface and arm has events"),
)

FOUND = (
    check_row(
        "mixed_users",
        "warning",
        value=0.0004,
        told="3 of 6,003 users (0.05 %) were seen in several arms and are left out; none should be",
        next_step="find out which code serves them by `abp srm diagnose troubled`",
    ),
    check_row(
        "fallbacks",
        "unhealthy",
        scope="pia",
        value=0.081,
        told="8.1 % of pia's impressions were made by the fallback; at most 5 % may be",
        next_step="see why the arm does not answer in time: `abp serve` logs it",
    ),
    check_row("logging_delay", "unknown", value=None, told="when events arrived is not stored"),
    check_row("missing_data", told="every day, surface and arm has events"),
)


def make(home: Path) -> None:
    """Write all experiments into a new store in a folder."""
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=True)) as store:
        launch(store, CALM, buckets=(0, 2500))
        for found in days_of(readout()):
            analyse(store, found, key=CALM, as_of=found.as_of)
        replay(store, CALM)
        launch(store, TROUBLED, buckets=(2500, 5000))
        analyse(store, replace(_checked(troubled(), FOUND)), key=TROUBLED)
        _alert(store)
        launch(store, RICH, buckets=(5000, 7500), metrics=(OWN,))
        analyse(store, _checked(rich(), CHECKS), key=RICH)
        launch_several(store)
        analyse(store, several(), key=SEVERAL)
        launch(store, WAITING, buckets=(8750, 10_000))


def days_of(whole: Readout) -> Iterator[Readout]:
    """Give an analysis as of every day up to its own: fewer users each day earlier, and wider intervals."""
    for day in range(1, DAYS + 1):
        as_of = AS_OF - timedelta(days=DAYS - day)
        lifts = tuple(_early(row, as_of, day / DAYS) for row in whole.lifts)
        ratios = tuple(_early_ratio(row, as_of, day / DAYS) for row in whole.sample_ratios)
        views = tuple(view for row in lifts for view in views_of(row))
        checks = tuple(replace(row, as_of=as_of) for row in CHECKS)
        assert whole.look is not None
        look = replace(whole.look, as_of=as_of, watermark=_late(as_of))
        yield replace(
            whole,
            as_of=as_of,
            lifts=lifts,
            sample_ratios=ratios,
            views=views,
            checks=checks,
            look=look,
            truth_from=None,
        )


def several() -> Readout:
    """Give an analysis of three arms: one is better, one may be anything."""
    rows = (*_rows_of("pia", 0.045), *_rows_of("ract", -0.01))
    counts = (3012, 2988, 3021)
    ratios = tuple(
        replace(ratio_row(scope), arms=("multi_vae", "pia", "ract"), counts=counts, expected=(sum(counts) / 3,) * 3)
        for scope in ("all", "home_card", "movie_card")
    )
    decisions = (DECISION, replace(DECISION, arm="ract", outcome="neutral", reason="no primary row shows a difference"))
    labels = (("multi_vae", "multi_vae"), ("pia", "pia (alignment 0.3)"), ("ract", "ract"))
    return _checked(readout(rows, ratios=ratios, truths=(), decisions=decisions, labels=labels), CHECKS)


def _rows_of(arm: str, lift: float) -> tuple[LiftRow, LiftRow]:
    figures = (lift, lift - 0.03, lift + 0.03)
    p_value = 0.003 if lift > 0.03 else 0.51
    home = lift_row("home_card", arm=arm, values=(41.3, 41.3 * (1 + lift)), lift=figures, p_value=p_value)
    movie = lift_row("movie_card", arm=arm, values=(18.9, 18.9 * (1 + lift)), lift=figures, p_value=p_value)
    return replace(home, role="primary"), movie


def _checked(found: Readout, checks: tuple[Check, ...]) -> Readout:
    return replace(found, views=tuple(view for row in found.lifts for view in views_of(row)), checks=checks)


def _late(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23, 58, 12, tzinfo=UTC)


def _early(row: LiftRow, as_of: date, share: float) -> LiftRow:
    """Give a row as it was when this share of the users had come."""
    wider = share**-0.5

    def end(value: float | None, estimate: float | None) -> float | None:
        return None if value is None or estimate is None else estimate + wider * (value - estimate)

    return replace(
        row,
        as_of=as_of,
        watermark=_late(as_of),
        users_control=round(share * row.users_control),
        users_treatment=round(share * row.users_treatment),
        low=end(row.low, row.lift),
        high=end(row.high, row.lift),
        difference_low=end(row.difference_low, row.difference),
        difference_high=end(row.difference_high, row.difference),
        p_value=None if row.p_value is None else min(1.0, row.p_value**share),
    )


def _early_ratio(row: SampleRatioRow, as_of: date, share: float) -> SampleRatioRow:
    counts = tuple(round(share * users) for users in row.counts)
    return replace(row, as_of=as_of, watermark=_late(as_of), counts=counts, expected=(sum(counts) / 2,) * 2)


def _alert(store: Store) -> None:
    message = "p is 0.00032, below 0.001, on Home Card; find where users were lost: `abp srm diagnose troubled`"
    store.raise_alerts([Alert(TROUBLED, "sample_ratio", "home_card", AS_OF, message, _late(AS_OF))])


def launch_several(store: Store) -> None:
    """Launch an experiment of three arms."""
    arms = (
        Arm("multi_vae", "multi_vae", 1 / 3, control=True),
        Arm("pia", "pia", 1 / 3, config={"alignment": 0.3}),
        Arm("ract", "ract", 1 / 3),
    )
    for arm in arms:
        recipe = Recipe(arm.recommender, arm.config, 0, "small", "hash", "version")
        store.register(Artifact(f"artifact-of-{arm.name}", recipe, {}, STARTS_AT))
    experiment = Experiment(
        SEVERAL, DataRule("small"), arms, hypothesis="One of two makes longer slates.", layer_buckets=(7500, 8750)
    )
    artifacts = {arm.name: f"artifact-of-{arm.name}" for arm in arms}
    ends_at = STARTS_AT + timedelta(days=experiment.days)
    store.launch(Launch(experiment, artifacts, "running", 1.0, STARTS_AT, STARTS_AT, ends_at))
