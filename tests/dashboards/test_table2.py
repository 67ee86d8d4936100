"""The page, run as Streamlit runs it, on a real database."""

import re
from datetime import date
from html import unescape
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ab_platform.storage.store import Store
from tests.dashboards.stored import analyse, launch, replay
from tests.golden.make_reports import troubled
from tests.readouts import ROWS, readout
from tests.reporting.rich import OWN, rich

APP = Path(__file__).parents[2] / "dashboards" / "app.py"


def visit(**query: str) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=30)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def html(page: AppTest) -> str:
    """Return what the page shows as HTML, its style left out."""
    assert not page.exception
    bodies = [element.proto.body for element in page.get("html")]
    return "\n".join(body for body in bodies if not body.startswith("<style>"))


def words(page: AppTest) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html(page))).split())


@pytest.mark.usefixtures("home")
def test_without_a_database_the_page_says_how_to_begin_and_makes_no_file(home: Path) -> None:
    text = words(visit())
    assert f"there is no database at {home / 'abp.db'} yet; run abp demo" in text
    assert list(home.iterdir()) == []


def test_a_database_that_is_not_migrated_names_the_command(home: Path) -> None:
    (home / "abp.db").touch()
    assert "run abp migrate" in words(visit())


def test_a_database_that_is_away_is_told_in_one_sentence_without_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABP_DATABASE_URL", "postgresql://someone:secret@127.0.0.1:1/nowhere")
    text = words(visit())
    assert "There is nothing to show" in text
    assert "does not answer" in text
    assert "secret" not in text


@pytest.mark.usefixtures("stored")
def test_without_an_experiment_the_page_says_how_to_launch_one() -> None:
    assert "no experiment was launched yet; run abp demo" in words(visit())


def test_an_experiment_without_an_analysis_names_the_command(stored: Store) -> None:
    launch(stored)
    assert "is not analysed yet; run abp analyze pia-vs-multivae" in words(visit())


def test_the_page_is_the_table(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout())
    page = visit()
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
    page = visit()
    assert "Visits were replayed, not live, so the true lift is known" in words(page)
    assert "0.007 better +5.00 % inside interval" in words(page)
    assert html(page).count('class="true"') == 6


def test_trouble_comes_before_the_table_with_every_reason(stored: Store) -> None:
    launch(stored)
    analyse(stored, troubled())
    shown = html(visit())
    assert shown.index('class="split alarm"') < shown.index("<table")
    for reason in ("control has 1 user; at least 2 are required", "no users in any arm", "the control may well be 0"):
        assert reason in shown


def test_all_that_an_experiment_asked_for_is_on_the_page(stored: Store) -> None:
    launch(stored, metrics=(OWN,))
    analyse(stored, rich())
    shown, text = html(visit()), words(visit())
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
    page = visit(experiment="first", as_of="2025-03-05", published="1")
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
    page = visit()
    assert page.query_params["experiment"] == "second"
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
    page = visit(experiment="first", as_of="2025-03-05")
    page.selectbox(key="experiment").select("second").run()
    assert "second, as of 2025-03-09" in words(page)


def test_the_newest_experiment_with_an_analysis_comes_first(stored: Store) -> None:
    launch(stored, "first", buckets=(0, 5000))
    launch(stored, "second", buckets=(5000, 10_000))
    analyse(stored, readout(), key="first")
    page = visit()
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
    page = visit(**query)
    assert told in words(page)
    name = next(iter(query))
    page.selectbox(key=name).select(page.selectbox(key=name).options[-1]).run()
    assert "pia-vs-multivae, as of 2025-03-09" in words(page)


def test_a_name_does_not_become_a_tag(stored: Store) -> None:
    launch(stored)
    analyse(stored, readout((ROWS[0],), truths=()))
    page = visit(experiment="<img src=x>")
    assert "<img" not in html(page)
    assert "experiment '<img src=x>', which is not here" in words(page)
