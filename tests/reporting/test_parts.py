"""What stands in a report beside its figures: decision, split, roles, guardrails, levels, notes and segments."""

import re
from dataclasses import replace

import pytest

from ab_platform.metrics import CATALOGUE
from ab_platform.reporting import as_html, as_json, as_latex, as_markdown, as_text
from tests.golden.make_reports import troubled
from tests.readouts import DECISION, ROWS, lift_row, ratio_row, readout
from tests.reporting.plain import FORMATS, Format, plain
from tests.reporting.rich import OWN, rich, segment_test


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_is_read_in_one_order(form: Format) -> None:
    text = plain(form(rich()))
    order = (
        "pia-vs-multivae, as of 2025-03-09",
        "pia (alignment 0.3) against the control multi_vae.",
        "keep running",
        "trust the split",
        "play duration per user (s)",
        "latency of a slate (ms)",
        "segments: lift by device",
        "novelty: lift by days since exposure",
        "newest event that counts",
    )
    if form is as_latex:  # a float of its own for the segments, beneath that of the table
        order = (*order[:-3], order[-1], *order[-3:-1])
    places = [text.lower().index(shown) for shown in order]
    assert places == sorted(places)
    assert text.index("trust the split" if form is not as_html else "Trust the split") < text.index("+4.50 %")


@pytest.mark.parametrize("form", FORMATS)
def test_the_decision_is_said_with_its_reason_and_the_days_that_are_left_once(form: Format) -> None:
    text = plain(form(rich()))
    assert "home_card.retention_day_1 is not shown to be within 2 %." in text
    assert text.count("about 3 days left") == 1


def test_every_treatment_has_its_decision() -> None:
    both = (DECISION, replace(DECISION, arm="rec_vae", outcome="roll back", reason="it is worse", days_left=1.0))
    for form in FORMATS:
        text = plain(form(readout(decisions=both))).lower()
        assert re.search(r"pia:? ship", text)
        assert re.search(r"rec_vae:? roll back,? about 1 day left", text)


@pytest.mark.parametrize("form", FORMATS)
def test_an_analysis_of_before_there_were_decisions_is_still_printed(form: Format) -> None:
    text = plain(form(replace(readout(decisions=()), look=None)))
    assert "+4.50 %" in text
    assert "alpha: 0.05, two-sided, not adjusted for the number of rows" in text
    assert as_json(replace(readout(), look=None))["look"] is None


@pytest.mark.parametrize("form", FORMATS)
def test_a_sound_split_is_one_sentence(form: Format) -> None:
    text = plain(form(readout()))
    assert "rust the split of all users (3,012 and 2,988; p = 0.757, e-value 0.23) and 2 surfaces." in text
    assert "expected" not in text


@pytest.mark.parametrize("form", FORMATS)
def test_an_alarm_is_told_with_its_figures_and_what_was_sound_beside_it(form: Format) -> None:
    text = plain(form(troubled()))
    assert "Home Card: ALARM. multi_vae 5,180, pia 4,820; expected 5,000 each; p < 0.001, e-value 81." in text
    assert "Trusted: all users (3,012 and 2,988; p = 0.757, e-value 0.23)." in text


@pytest.mark.parametrize("form", FORMATS)
def test_an_alarm_in_a_segment_is_an_alarm_and_an_untested_one_is_named(form: Format) -> None:
    text = plain(form(rich()))
    assert "Not tested: device unknown (the smallest arm expects 2 users; at least 5 are required)." in text
    alarm = replace(ratio_row("device phone", counts=(900, 700)), alarm=True, reason="p is 1e-6")
    loud = plain(form(replace(rich(), sample_ratios=(ratio_row(), alarm))))
    assert "ALARM" in loud
    assert "device phone: ALARM. multi_vae 900, pia 700" in loud


@pytest.mark.parametrize("form", FORMATS)
def test_users_in_several_arms_are_counted_where_there_are_any(form: Format) -> None:
    assert "12 users (0.20 %) were seen in several arms and are left out of every row." in plain(form(rich()))
    assert "several arms" not in plain(form(readout()))


@pytest.mark.parametrize("form", FORMATS)
def test_a_guardrail_reads_with_its_margin(form: Format) -> None:
    text = plain(form(rich(), **({"width": 140} if form is as_text else {})))
    for shown in ("+5 %: shown", "+10 %: BREACHED", "-2 %: not shown"):
        assert shown in text
    assert text.count("not worse than") == 3
    assert "Guardrails: the p-value tests the margin, not a lift of 0." in text
    assert "Guardrails:" not in plain(form(readout()))


@pytest.mark.parametrize("form", FORMATS)
def test_an_interval_of_another_level_is_marked_and_explained(form: Format) -> None:
    text = plain(form(rich()))
    assert text.count("(97.5 %)") == 1
    assert "95 % confidence" in text
    assert "2 primary rows are adjusted by Holm's method" in text.replace("’", "'")
    assert "A level beside an interval is its own" in text
    assert "A level beside" not in plain(form(readout()))


@pytest.mark.parametrize("form", FORMATS)
def test_what_covariates_and_caps_did_stands_with_the_row(form: Format) -> None:
    text = plain(form(rich()))
    for shown in ("CUPED saved 31 %", "CUPED saved 19 %", "values cut at 612.4 s", "so they are not the plain ratio"):
        assert shown in text
    assert "CUPED" not in plain(form(readout()))


@pytest.mark.parametrize("form", FORMATS)
def test_a_lift_that_would_be_found_stands_only_where_none_was(form: Format) -> None:
    rows = tuple(replace(row, detectable=0.041) for row in (ROWS[0], ROWS[1]))
    text = plain(form(readout(rows, truths=())))
    assert text.count("a lift of 4.1 % would be found") == 1


@pytest.mark.parametrize("form", FORMATS)
def test_a_metric_of_the_experiments_own_is_printed_by_its_definition(form: Format) -> None:
    assert OWN.label in plain(form(rich()))


def test_every_metric_of_the_catalogue_has_its_row_in_every_format() -> None:
    rows = tuple(lift_row(metric=each.name) for each in CATALOGUE)
    for form in FORMATS:
        text = plain(form(readout(rows, truths=())))
        shown = [each for each in CATALOGUE if "".join(each.label.split()) in "".join(text.split())]
        assert len(shown) >= (len(CATALOGUE) if form is not as_text else 1)


@pytest.mark.parametrize("form", FORMATS)
def test_primary_rows_are_shown_by_segment_with_the_test_between_them(form: Format) -> None:
    text = plain(form(rich()))
    assert "Segments: lift by interactions" in text
    assert "no difference between segments shown, p = 0.410, Holm over 4 tests" in text.replace("No diff", "no diff")
    assert "lift DIFFERS between segments, p = 0.004, Holm over 4 tests" in text
    assert "between segments is unknown: 1 segment has a variance; at least 2 are required" in text
    for shown in ("television", "+0.12 to +7.91 %", "2,011", "1,990"):
        assert shown in text
    assert "p = 0.500" not in text  # of a secondary row, which has no block


@pytest.mark.parametrize("form", FORMATS)
def test_days_since_the_exposure_are_a_block_without_a_test(form: Format) -> None:
    text = plain(form(rich()))
    novelty = text[text.index("Novelty: lift by days since exposure") :]
    assert "+4.2 to +14.2 %" in novelty
    assert "between segments" not in novelty.split("Newest event")[0]


def test_a_test_that_stands_alone_is_not_said_to_be_adjusted() -> None:
    alone = replace(rich(), segment_tests=(segment_test("play_duration", "device", 0.3),))
    assert "no difference between segments shown, p = 0.300" in plain(as_text(alone))
    assert "Holm over" not in plain(as_text(alone))


@pytest.mark.parametrize("form", FORMATS)
def test_an_absent_number_of_a_segment_has_its_reason(form: Format) -> None:
    first, *rest = rich().segments
    absent_one = replace(first, lift=None, low=None, high=None, p_value=None, reason="control has 1 user in it")
    assert "control has 1 user in it" in plain(form(replace(rich(), segments=(absent_one, *rest))))


def test_primary_rows_come_first_and_are_marked() -> None:
    lines = as_text(rich()).splitlines()
    marked = [line for line in lines if line.startswith("*")]
    assert [line.split()[0] for line in marked] == ["*Play", "*Click-through", "*"]
    titles = [line.strip(" -") for line in lines if line.startswith(" - ")]
    assert titles == ["Primary", "Guardrails", "Secondary", "Secondary"]
    page = as_html(rich())
    assert page.count('class="measured primary"') == 2
    assert "| **primary** |" in as_markdown(rich())


def test_rows_of_one_role_have_no_titles_of_groups() -> None:
    alike = tuple(replace(row, role="primary") for row in ROWS)
    assert "- Primary -" not in as_text(readout(alike))
    assert 'class="role"' not in as_html(readout(alike))
    assert "Role" not in as_markdown(readout(alike))
