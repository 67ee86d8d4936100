"""Whether the lifts may be believed: said before them, in every format, with the next step."""

from dataclasses import replace

import pytest

from ab_platform.reporting import as_html, as_text
from ab_platform.reporting.printed_health import belief
from ab_platform.results import Readout
from tests.golden.make_reports import troubled
from tests.readouts import check_row, readout
from tests.reporting.plain import FORMATS, Format, plain

TOLD = "12 % of the impressions of pia were made by popularity; at most 5 % may be"
NEXT = "read the log of the service, mend pia, and launch a new key"


def fallen(status: str = "unhealthy") -> Readout:
    """Build a readout that would ship, were it not for its data."""
    found = check_row("fallbacks", "unhealthy", scope="pia", value=0.12, told=TOLD, next_step=NEXT)
    return replace(
        readout(), checks=(check_row(), replace(found, status="warning" if status == "warning" else "unhealthy"))
    )


def test_a_sound_analysis_is_healthy_in_a_word() -> None:
    page = as_html(readout())
    assert '<p class="status healthy">' in page
    assert 'class="belief' not in page
    assert "doubted" not in page.split("</style>")[1]


@pytest.mark.parametrize("form", FORMATS)
def test_a_check_that_is_not_healthy_is_told_before_the_lifts_with_its_next_step(form: Format) -> None:
    text = plain(form(fallen()))
    assert TOLD in text
    assert f"Next: R{NEXT[1:]}." in text
    assert text.index(TOLD) < text.index("+4.50 %")
    assert "Fallbacks" not in plain(form(readout()))


def test_lifts_that_are_not_to_be_trusted_are_seen_not_to_be_before_anything_else() -> None:
    page = as_html(fallen()).split("</style>")[1]
    places = [page.index(part) for part in ('class="status unhealthy"', 'class="belief unhealthy"', 'class="decision')]
    assert places == sorted(places)
    assert '<table class="lifts doubted"' in page
    assert "<caption>Do not trust these lifts.</caption>" in page


def test_a_warning_leaves_the_table_as_it_is() -> None:
    page = as_html(fallen("warning")).split("</style>")[1]
    assert "Read these lifts with care." in page
    assert "doubted" not in page


def test_what_the_decision_says_already_is_not_said_twice() -> None:
    page = as_html(troubled()).split("</style>")[1]
    assert 'class="belief' not in page
    assert page.index("Unhealthy") < page.index("<table")
    assert '<table class="lifts doubted"' in page


def test_an_untested_split_is_no_sound_one() -> None:
    found = belief(readout(ratios=()))
    assert (found.status, found.word) == ("unknown", "Health unknown")
    assert 'class="belief unknown"' in as_html(readout(ratios=()))


def test_the_worst_finding_comes_first() -> None:
    warned = check_row("logging_delay", "warning", told="the newest event is 5 h old; 3 h are usual")
    found = belief(replace(fallen(), checks=(warned, *fallen().checks)))
    assert [each.name for each in found.findings] == ["Fallbacks, pia", "Logging delay"]


def test_plain_text_says_so_too() -> None:
    assert "Data: Fallbacks, pia: unhealthy. 12 % of the impressions" in " ".join(as_text(fallen()).split())
