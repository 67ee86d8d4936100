"""A table made another way: stored rows alone, and never without the sentence that it decides nothing."""

from dataclasses import replace

import pytest

from ab_platform.reporting import as_html, as_latex, as_markdown
from ab_platform.reporting.printed import printed
from ab_platform.reporting.viewing import AS_DECIDED, View, choices, missing, normal, rule, sentence, viewed
from ab_platform.results import LiftRow, Readout
from tests.readouts import ROWS, lift_row, readout, views_of
from tests.reporting.plain import Format, plain
from tests.reporting.rich import rich

VIEWED = replace(readout(), views=tuple(view for row in ROWS for view in views_of(row, covariates=True)))
"""One look without covariates decides; both and the reverse of both are stored."""


def three_arms() -> Readout:
    """Build a readout of two treatments, each a baseline of the others."""
    labels = (("multi_vae", "multi_vae"), ("pia", "pia"), ("rec_vae", "rec_vae"))
    rows = {arm: tuple(lift_row(metric=row.metric, arm=arm) for row in ROWS[:3]) for arm in ("pia", "rec_vae")}
    against_control = [view for arm in rows.values() for row in arm for view in views_of(row)]
    others = (("multi_vae", "pia"), ("rec_vae", "pia"), ("multi_vae", "rec_vae"), ("pia", "rec_vae"))
    against_others = [
        view
        for arm, baseline in others
        for row in ROWS[:3]
        for view in views_of(lift_row(metric=row.metric, arm=arm, values=(20.0, 10.0)), baseline=baseline)
    ]
    found = readout((*rows["pia"], *rows["rec_vae"]), truths=(), labels=labels)
    return replace(found, views=(*against_control, *against_others))


def test_without_a_wish_the_table_is_the_decided_one() -> None:
    assert viewed(VIEWED, AS_DECIDED) is VIEWED
    assert sentence(VIEWED, AS_DECIDED) == ""


def test_a_wish_that_the_rule_grants_anyway_is_none() -> None:
    view = View(baseline="multi_vae", covariates=False, looks="fixed")
    assert normal(VIEWED, view) == AS_DECIDED
    assert viewed(VIEWED, view) is VIEWED


@pytest.mark.parametrize("view", [View(covariates=True), View(looks="sequential"), View(None, True, "sequential")])
def test_another_view_is_of_stored_rows_alone_in_the_order_of_the_table(view: View) -> None:
    stored = {each.row for each in VIEWED.views}
    shown = viewed(VIEWED, view)
    assert set(shown.lifts) <= stored
    assert [(row.surface, row.metric, row.arm) for row in shown.lifts] == [
        (row.surface, row.metric, row.arm) for row in VIEWED.lifts
    ]
    assert {row.variance_saved is not None for row in shown.lifts} == {bool(view.covariates)}
    assert {row.monitoring for row in shown.lifts} == {view.looks or "fixed"}


def test_a_row_that_no_covariate_can_help_stands_for_itself() -> None:
    helped, plain_one = ROWS[0], ROWS[1]
    found = replace(VIEWED, lifts=ROWS[:2], views=(*views_of(helped, covariates=True), *views_of(plain_one)))
    shown = viewed(found, View(covariates=True))
    assert [row.variance_saved for row in shown.lifts] == [0.36, None]


def test_a_rule_with_covariates_can_be_looked_at_without_them() -> None:
    rows: tuple[LiftRow, ...] = tuple(replace(row, variance_saved=0.36) for row in ROWS)
    found = replace(VIEWED, lifts=rows)
    assert rule(found).covariates
    shown = viewed(found, View(covariates=False))
    assert {row.variance_saved for row in shown.lifts} == {None}
    assert "without CUPED, one look" in sentence(found, View(covariates=False))


def test_another_baseline_takes_the_place_of_the_control_and_the_control_that_of_an_arm() -> None:
    shown = viewed(three_arms(), View(baseline="pia"))
    assert next(iter(shown.labels)) == "pia"
    assert [row.arm for row in shown.lifts] == ["multi_vae", "rec_vae"] * 3
    page = printed(three_arms(), view=View(baseline="pia"))
    assert page.lead == ("multi_vae, rec_vae against the baseline pia.",)
    assert (page.heads.control, page.heads.treatment) == ("Baseline", "Arm")


def test_true_lifts_and_segments_stand_beside_the_rows_that_they_are_of_alone() -> None:
    assert viewed(VIEWED, View(covariates=True)).truths == VIEWED.truths
    several = replace(three_arms(), truths=VIEWED.truths, truth_from="replay")
    other = viewed(several, View(baseline="pia"))
    assert (other.truths, other.truth_from) == ((), None)
    found = replace(rich(), views=tuple(view for row in rich().lifts for view in views_of(row)))
    assert found.segments
    assert viewed(found, View(looks="fixed")).segments == ()


def test_a_row_that_is_not_stored_this_way_is_left_out_and_counted() -> None:
    found = replace(VIEWED, views=tuple(each for each in VIEWED.views if each.row.metric == "play_duration"))
    view = View(looks="sequential")
    assert len(viewed(found, view).lifts) == 2
    assert missing(found, view) == 4
    assert "4 rows were not stored this way" in sentence(found, view)


def test_planned_looks_have_no_views_so_another_choice_beside_them_shows_one_look() -> None:
    rows: tuple[LiftRow, ...] = tuple(replace(row, monitoring="group_sequential") for row in ROWS)
    found = replace(VIEWED, lifts=rows)
    assert choices(found).looks == ("fixed", "sequential", "group_sequential")
    assert {row.monitoring for row in viewed(found, View(covariates=True)).lifts} == {"fixed"}
    assert "The rule, which decides: against multi_vae, without CUPED, the planned looks" in sentence(
        found, View(covariates=True)
    )


def test_there_is_a_choice_of_what_is_stored_and_of_what_the_rule_says() -> None:
    assert choices(VIEWED).covariates == (False, True)
    assert choices(VIEWED).looks == ("fixed", "sequential")
    assert choices(three_arms()).baselines == ("multi_vae", "pia", "rec_vae")
    old = choices(readout())
    assert (old.baselines, old.covariates, old.looks) == (("multi_vae",), (False,), ("fixed",))


@pytest.mark.parametrize("form", [as_html, as_markdown, as_latex])
def test_every_format_says_that_a_view_decides_nothing_before_its_table(form: Format) -> None:
    text = plain(form(VIEWED, view=View(covariates=True, looks="sequential")))
    note = "This view decides nothing. Shown: against multi_vae, with CUPED, a look at any time, no row adjusted"
    assert text.index(note) < text.index("+4.50 %")
    assert "95 % confidence" in text
    assert "CUPED saved 36 %" in text
    assert "Monitoring: fixed" not in text
    assert "decides nothing" not in plain(form(VIEWED))


@pytest.mark.parametrize("form", [as_html, as_markdown, as_latex])
def test_a_table_of_differences_has_each_in_its_metrics_unit(form: Format) -> None:
    text = plain(form(readout(), published=True, view=View(scale="difference")))
    for shown in ("Difference", "+1.9 s", "+0.5 to +3.3 s", "+0.11 pp", "-0.03 to +0.25 pp"):
        assert shown in text
    for hidden in ("+4.50 %", "true lift", "Paper:", "decides nothing"):
        assert hidden not in text


def test_an_absent_difference_is_absent() -> None:
    row = replace(ROWS[0], difference=None, difference_low=None, difference_high=None)
    shown = printed(readout((row,)), view=View(scale="difference")).sections[0].rows[0]
    assert (shown.lift, shown.interval) == ("—", "—")
