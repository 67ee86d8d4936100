"""The page Results, run as Streamlit runs it, on a real database."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ab_platform import analysis
from ab_platform.experiment import Arm
from ab_platform.metrics import metric
from ab_platform.results import Readout
from ab_platform.storage.store import Store
from tests.dashboards.stored import analyse, launch, replay
from tests.dashboards.visiting import html, visit, words
from tests.golden.make_reports import troubled
from tests.readouts import ROWS, check_row, readout, views_of
from tests.reporting.rich import OWN, rich


def results(**query: str) -> AppTest:
    return visit("results", **query)


@pytest.mark.usefixtures("home")
def test_without_a_database_the_page_says_how_to_begin_and_makes_no_file(home: Path) -> None:
    text = words(results())
    assert f"there is no database at {home / 'abp.db'} yet; run abp demo" in text
    assert list(home.iterdir()) == []


def test_a_database_that_is_not_migrated_names_the_command(home: Path) -> None:
    (home / "abp.db").touch()
    assert "run abp migrate" in words(results())


def test_a_database_that_is_away_is_told_in_one_sentence_without_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABP_DATABASE_URL", "postgresql://someone:secret@127.0.0.1:1/nowhere")
    text = words(results())
    assert "There is nothing to show" in text
    assert "does not answer" in text
    assert "secret" not in text


@pytest.mark.usefixtures("stored")
def test_without_an_experiment_the_page_says_how_to_launch_one() -> None:
    assert "no experiment was launched yet; run abp demo" in words(results())


def test_an_experiment_without_an_analysis_names_the_command(stored: Store) -> None:
    launch(stored)
    assert "is not analysed yet; run abp analyze pia-vs-multivae" in words(results())


def test_the_page_is_the_table(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    page = results()
    text = words(page)
    assert "pia-vs-multivae, as of 2025-03-09" in text
    assert "Ship home_card.play_duration is significantly better" in text
    assert "Trust the split of all users (3,012 and 2,988; p = 0.757, e-value 0.23) and 2 surfaces." in text
    assert "Play duration per user (s) seconds / users 41.3 124,456 / 3,012 43.2 129,022 / 2,988 +4.50 %" in text
    assert "+1.21 to +7.91 % 0.007 better" in text.replace("−", "-")
    assert html(page).count('class="measured') == 6
    assert html(page).count('role="img"') == 6
    assert "true lift" not in text.lower()
    assert page.selectbox(key="experiment").value == "pia-vs-multivae"


def test_a_replay_has_its_true_lift_in_a_column_and_on_the_bar(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    replay(stored)
    page = results()
    assert "Visits were replayed, not live, so the true lift is known" in words(page)
    assert "0.007 better +5.00 % inside interval" in words(page)
    assert html(page).count('class="true"') == 6


def test_trouble_comes_before_the_table_with_every_reason(stored: Store) -> None:
    launch(stored)
    analyse(stored, troubled())
    shown = html(results())
    assert shown.index('class="split alarm"') < shown.index("<table")
    for reason in ("control has 1 user; at least 2 are required", "no users in any arm", "the control may well be 0"):
        assert reason in shown


def test_all_that_an_experiment_asked_for_is_on_the_page(stored: Store) -> None:
    launch(stored, metrics=(OWN,))
    analyse(stored, rich())
    shown, text = html(results()), words(results())
    for said in (
        "Keep running about 3 days left",
        "12 users (0.20 %) were seen in several arms",
        "95 % confidence sequence",
        "CUPED saved 31 %",
        "(97.5 %)",
        "+10 %: BREACHED",
        "Titles watched per visit titles watched / visits",
        "values cut at 612.4 s",
        "Segments: lift by device",
        "The lift DIFFERS between segments, p = 0.004, Holm over 4 tests.",
        "Novelty: lift by days since exposure",
    ):
        assert said in text
    places = [shown.index(part) for part in ('class="decision', 'class="split', 'class="lifts', 'class="segments"')]
    assert places == sorted(places)


def test_a_link_leads_to_experiment_day_and_published_figures(stored: Store) -> None:
    launch(stored, "first", buckets=(0, 5000))
    launch(stored, "second", buckets=(5000, 10_000))
    for key in ("first", "second"):
        for day in (date(2025, 3, 5), date(2025, 3, 9)):
            analyse(stored, readout(), key=key, as_of=day)
    page = results(experiment="first", as_of="2025-03-05", published="1")
    text = words(page)
    assert "first, as of 2025-03-05" in text
    assert "in the paper 27.7 74.6 +169 %" in text
    assert "Its control was a statistical baseline" in text
    assert page.toggle(key="published").value is True


def test_the_address_remembers_what_was_chosen(stored: Store) -> None:
    launch(stored, "first", buckets=(0, 5000))
    launch(stored, "second", buckets=(5000, 10_000))
    analyse(stored, readout(), key="first")
    analyse(stored, readout(), key="first", as_of=date(2025, 3, 5))
    analyse(stored, readout(), key="second")
    page = results()
    assert "second, as of" in words(page)
    assert dict(page.query_params) == {}
    page.selectbox(key="experiment").select("first").run()
    page.selectbox(key="as_of").select("2025-03-05").run()
    page.toggle(key="published").set_value(True).run()
    assert "first, as of 2025-03-05" in words(page)
    assert page.query_params["experiment"] == "first"
    assert page.query_params["as_of"] == "2025-03-05"
    assert page.query_params["published"] == "1"
    page.toggle(key="published").set_value(False).run()
    assert "published" not in page.query_params


def test_another_experiment_is_shown_as_of_its_own_newest_day(stored: Store) -> None:
    launch(stored, "first", buckets=(0, 5000))
    launch(stored, "second", buckets=(5000, 10_000))
    analyse(stored, readout(), key="first", as_of=date(2025, 3, 5))
    analyse(stored, readout(), key="second")
    page = results(experiment="first", as_of="2025-03-05")
    page.selectbox(key="experiment").select("second").run()
    assert "second, as of 2025-03-09" in words(page)


def test_the_newest_experiment_with_an_analysis_comes_first(stored: Store) -> None:
    launch(stored, "first", buckets=(0, 5000))
    launch(stored, "second", buckets=(5000, 10_000))
    analyse(stored, readout(), key="first")
    page = results()
    assert "first, as of 2025-03-09" in words(page)
    assert page.selectbox(key="experiment").options == ["second", "first"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (
            {"experiment": "pia-vs-multivea"},
            "experiment 'pia-vs-multivea', which is not here; did you mean 'pia-vs-multivae'?",
        ),
        ({"as_of": "2025-03-01"}, "as_of '2025-03-01', which is not here; did you mean"),
    ],
)
def test_a_link_to_what_is_not_there_says_so_and_lets_one_choose(
    stored: Store, query: dict[str, str], told: str
) -> None:
    launch(stored)
    analyse(stored, readout())
    page = results(**query)
    assert told in words(page)
    name = next(iter(query))
    page.selectbox(key=name).select(page.selectbox(key=name).options[-1]).run()
    assert "pia-vs-multivae, as of 2025-03-09" in words(page)


def test_a_name_does_not_become_a_tag(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout((ROWS[0],), truths=()))
    page = results(experiment="<img src=x>")
    assert "<img" not in html(page)
    assert "experiment '<img src=x>', which is not here" in words(page)


RULE_AND_VIEWS = replace(readout(), views=tuple(view for row in ROWS for view in views_of(row, covariates=True)))


def three_arms() -> Readout:
    """Build a readout of two treatments, one of which may be a baseline too."""
    labels = (("multi_vae", "multi_vae"), ("pia", "pia (alignment 0.3)"), ("rec_vae", "rec_vae"))
    rows = tuple(replace(row, arm=arm) for arm in ("pia", "rec_vae") for row in ROWS)
    reversed_rows = tuple(
        view
        for arm in ("multi_vae", "rec_vae")
        for row in ROWS
        for view in views_of(replace(row, arm=arm, control=row.treatment, treatment=row.control), baseline="pia")
    )
    found = readout(rows, truths=(), labels=labels)
    return replace(found, views=(*(view for row in rows for view in views_of(row)), *reversed_rows))


class Table(HTMLParser):
    """The rows of the table as a reader finds them: the words of each cell, by its class, its details apart."""

    def __init__(self, page: AppTest) -> None:
        super().__init__()
        self.rows: list[dict[str, list[str]]] = []
        self.cell: str | None = None
        self.feed(html(page))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = str(dict(attrs).get("class"))
        if tag == "tr":
            self.open = name.startswith("measured")
            if self.open:
                self.rows.append({})
        if tag in ("td", "th") and self.rows and self.open:
            self.cell = name
            self.rows[-1][name] = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data: str) -> None:
        if self.cell and self.open:
            self.rows[-1][self.cell].append(data)


def numbers(text: str) -> list[str]:
    return re.findall(r"[+-]?\d[\d,]*\.?\d*", text.replace("−", "-"))


def agrees(shown: str, stored: float | None) -> bool:
    """Tell whether a number on the page is the stored one, to the digits that are shown."""
    text = shown.replace(",", "")
    decimals = len(text.partition(".")[2])
    return stored is not None and float(text) == pytest.approx(stored, abs=0.5 * 10**-decimals + 1e-9)


SCALES = {"seconds": 1.0, "fraction": 100.0}


@pytest.mark.parametrize(
    ("query", "covariates", "monitoring"),
    [
        ({}, None, "fixed"),
        ({"effect": "difference"}, None, "fixed"),
        ({"cuped": "on"}, True, "fixed"),
        ({"looks": "sequential"}, False, "sequential"),
        ({"cuped": "on", "looks": "sequential", "effect": "difference"}, True, "sequential"),
    ],
)
def test_every_figure_on_the_page_is_the_stored_one(
    stored: Store, query: dict[str, str], covariates: bool | None, monitoring: str
) -> None:
    launch(stored)
    analyse(stored, RULE_AND_VIEWS)
    kept = analysis.readout(stored, "pia-vs-multivae")
    rows = (
        kept.lifts
        if covariates is None
        else [view.row for view in kept.views if (view.covariates, view.row.monitoring) == (covariates, monitoring)]
    )
    by_key = {(row.surface, row.metric): row for row in rows}
    shown = Table(results(**query)).rows
    assert len(shown) == len(rows) == 6
    for cells, key in zip(shown, [(row.surface, row.metric) for row in kept.lifts], strict=True):
        row, scale = by_key[key], SCALES[metric(key[1]).unit]
        relative = query.get("effect") != "difference"
        effect = (
            (row.lift, row.low, row.high) if relative else (row.difference, row.difference_low, row.difference_high)
        )
        times = 100.0 if relative else scale
        for name, values in (
            ("control", [(row.control, scale), (row.numerator_control, 1.0), (row.denominator_control, 1.0)]),
            ("treatment", [(row.treatment, scale), (row.numerator_treatment, 1.0), (row.denominator_treatment, 1.0)]),
            ("lift", [(effect[0], times)]),
            ("interval", [(end, times) for end in effect[1:]]),
            ("p", [(row.p_value, 1.0)]),
        ):
            figures = numbers(" ".join(cells[name]))
            assert len(figures) == len(values), (name, figures)
            for figure, (value, factor) in zip(figures, values, strict=True):
                assert value is not None
                assert agrees(figure, factor * value), (key, name, figure, value)


def test_another_view_says_that_it_decides_nothing_and_the_rule_does_not(stored: Store) -> None:
    launch(stored)
    analyse(stored, RULE_AND_VIEWS)
    page = results()
    assert "decides nothing" not in words(page)
    page.segmented_control(key="cuped of pia-vs-multivae").set_value("on").run()
    text = words(page)
    assert "This view decides nothing. Shown: against multi_vae, with CUPED, one look at the planned end" in text
    assert "The rule, which decides: against multi_vae, without CUPED, one look at the planned end." in text
    assert text.count("CUPED saved 36 %") == 6
    assert "Ship" in text
    assert page.query_params["cuped"] == "on"
    page.segmented_control(key="cuped of pia-vs-multivae").set_value("off").run()
    assert "cuped" not in page.query_params
    assert "decides nothing" not in words(page)


def test_relative_and_difference_are_both_as_decided(stored: Store) -> None:
    launch(stored)
    analyse(stored, RULE_AND_VIEWS)
    page = results()
    page.segmented_control(key="effect of pia-vs-multivae").set_value("difference").run()
    text = words(page)
    assert "decides nothing" not in text
    assert "Difference 95 % interval p-value" in text
    assert "+1.9 s +0.5 to +3.3 s 0.007 better" in text.replace("−", "-")
    assert page.query_params["effect"] == "difference"


def test_several_arms_are_compared_with_the_baseline_of_choice(stored: Store) -> None:
    weights = {"multi_vae": 0.4, "pia": 0.3, "rec_vae": 0.3}
    launch(stored, arms=tuple(Arm(name, name, share, control=share == 0.4) for name, share in weights.items()))
    analyse(stored, three_arms())
    text = words(results(baseline="pia"))
    assert "Metric Baseline Arm Lift" in text
    assert "Home Card pia 3,012 users, multi_vae 2,988 users" in text
    assert "Home Card pia 3,012 users, rec_vae 2,988 users" in text
    assert "Shown: against pia" in text
    assert results().selectbox(key="baseline of pia-vs-multivae").value == "multi_vae"


def test_two_arms_have_no_choice_of_baseline(stored: Store) -> None:
    launch(stored)
    analyse(stored, RULE_AND_VIEWS)
    assert [each.key for each in results().selectbox] == ["experiment", "as_of"]


def test_an_analysis_without_views_says_what_makes_them_and_shows_the_decided_table(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    page = results(cuped="on", looks="sequential")
    text = words(page)
    assert "The link asks for cuped=on, looks=sequential, which is not stored of this analysis" in text
    assert "run abp analyze pia-vs-multivae" in text
    assert "+1.21 to +7.91 %" in text.replace("−", "-")
    assert page.segmented_control(key="cuped of pia-vs-multivae").disabled
    assert "not stored" not in words(results())


def test_another_experiment_begins_with_its_own_rule(stored: Store) -> None:
    launch(stored, "first", buckets=(0, 5000))
    launch(stored, "second", buckets=(5000, 10_000))
    for key in ("first", "second"):
        analyse(stored, RULE_AND_VIEWS, key=key)
    page = results(experiment="first", looks="sequential")
    assert "decides nothing" in words(page)
    page.selectbox(key="experiment").select("second").run()
    assert "second, as of 2025-03-09" in words(page)
    assert "decides nothing" not in words(page)
    assert "looks" not in page.query_params


def test_what_is_wrong_with_the_data_comes_before_all_and_takes_the_lifts_their_colour(stored: Store) -> None:
    launch(stored)
    told = "12 % of the impressions of pia were made by popularity; at most 5 % may be"
    check = check_row("fallbacks", "unhealthy", scope="pia", value=0.12, told=told, next_step="mend pia")
    analyse(stored, replace(readout(), checks=(check,)))
    page = results()
    shown, text = html(page), words(page)
    assert f"Do not trust these lifts. Fallbacks, pia: {told}. Next: Mend pia." in text
    places = [shown.index(part) for part in ('"status unhealthy"', '"belief unhealthy"', '"decision', "lifts doubted")]
    assert places == sorted(places)


def test_metrics_and_columns_are_defined_for_who_hovers_and_for_who_tabs(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    shown = html(results())
    terms = re.findall(r'<span class="term" tabindex="0" title="([^"]+)">([^<]+)</span>', shown)
    told = {name: definition for definition, name in terms}
    assert told["Play duration per user (s)"] == "Seconds over users exposed on the surface. Higher is better."
    assert {"Control", "Treatment", "Lift", "95 % interval", "p-value", "Verdict"} <= set(told)
    assert "<summary>What the columns mean</summary>" in shown


def test_old_figures_of_a_running_experiment_are_called_so(stored: Store) -> None:
    launch(stored, starts_at=datetime.now(UTC) - timedelta(days=3))
    analyse(stored, readout(truths=()))
    assert "These figures are old" in words(results())
