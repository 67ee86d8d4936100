"""The report as a file: the full report in one, every stored figure in another."""

import csv
import io
from dataclasses import asdict, replace
from datetime import date, timedelta
from importlib.util import find_spec

import pytest

from ab_platform.experiment import DataRule, Experiment
from ab_platform.lineage import Launch
from ab_platform.reporting import as_html, as_latex, as_markdown, as_text
from ab_platform.reporting.course import Course
from ab_platform.reporting.rows_csv import as_csv
from ab_platform.reporting.viewing import View
from ab_platform.reporting.writing import BINARY, FORMATS, Format, drawable, written
from ab_platform.results import LiftRow, LiftView, Readout
from tests.dashboards.stored import ARMS, STARTS_AT
from tests.readouts import AS_OF, ROWS, check_row, readout, views_of
from tests.reporting.rich import rich

needs_pictures = pytest.mark.skipif(
    not (drawable() and find_spec("typst")), reason="the extra dashboard is not installed"
)

VIEWS = tuple(view for row in ROWS for view in views_of(row))
VIEWED = replace(readout(), views=VIEWS, checks=(check_row(),))


def course(views: tuple[LiftView, ...] = VIEWS) -> Course:
    """Build a course of five days on which the same was found."""
    launch = Launch(
        Experiment("pia-vs-multivae", DataRule("small"), ARMS),
        {},
        "running",
        1.0,
        STARTS_AT,
        STARTS_AT,
        STARTS_AT + timedelta(days=7),
    )
    days = [AS_OF - timedelta(days=back) for back in range(4, -1, -1)]
    history = [replace(view, row=replace(view.row, as_of=day)) for day in days for view in views]
    return Course(launch, (), tuple(history))


def never() -> Course:
    raise AssertionError("this format shows nothing of the course, so it must not be read")


@pytest.mark.parametrize(("form", "write"), [("text", as_text), ("markdown", as_markdown), ("latex", as_latex)])
def test_a_format_of_text_is_what_it_was(form: Format, write: object) -> None:
    assert callable(write)
    assert written(form, readout(), never, published=True).decode() == write(readout(), published=True)


@needs_pictures
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_the_same_file_every_time(form: Format) -> None:
    once = written(form, VIEWED, course)
    assert len(once) > 500
    assert written(form, VIEWED, course) == once


@needs_pictures
def test_the_full_report_is_one_file_with_everything_in_it() -> None:
    views = tuple(view for row in rich().lifts for view in views_of(row, covariates=True))
    page = written("html", replace(rich(), checks=(check_row(),)), lambda: course(views)).decode()
    for part in ("Keep running", "Sample ratio of all users", "Users in several arms", "Over time", "by device"):
        assert part in page
    assert page.count("<svg") == 2 + 2 * 2  # two primary rows over time, and each by two dimensions
    assert "The lift differs between segments." in page
    assert page.count("<table") > 5


@needs_pictures
def test_the_full_report_needs_no_network_and_nothing_of_one_picture_reaches_another() -> None:
    page = written("html", replace(rich(), views=VIEWS), course).decode()
    addresses = page.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
    assert "http" not in addresses
    assert "<script" not in page
    assert "@import" not in page
    names = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(names) == len(set(names))


@needs_pictures
def test_a_single_day_is_no_course_to_draw() -> None:
    alone = replace(course(), history=VIEWS)
    assert "<h2>Over time</h2>" not in written("html", VIEWED, lambda: alone).decode()


def test_without_what_draws_the_page_has_no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ab_platform.reporting.writing.drawable", lambda: False)
    assert written("html", VIEWED, never).decode() == as_html(VIEWED)


@needs_pictures
def test_a_picture_of_a_view_is_not_that_of_the_rule() -> None:
    assert written("svg", VIEWED, never) != written("svg", VIEWED, never, view=View(looks="sequential"))


def test_what_no_terminal_shows_is_named() -> None:
    assert set(FORMATS) >= BINARY == {"png", "pdf"}


def lines(found: Readout) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(found))))


def test_the_csv_has_every_row_view_and_segment_with_all_digits() -> None:
    found = replace(rich(), views=VIEWS)
    kinds = [line["kind"] for line in lines(found)]
    assert [kinds.count(kind) for kind in ("row", "view", "segment")] == [10, 12, 30]
    for line, row in zip(lines(found), (*found.lifts, *(view.row for view in VIEWS)), strict=False):
        for name, cell in asdict(row).items():
            assert same(line[name], cell), name
    segment = lines(found)[-1]
    assert (segment["dimension"], segment["segment"], segment["baseline"]) == ("days since exposure", "10", "multi_vae")
    assert float(segment["high"]) == 0.116


def same(text: str, cell: object) -> bool:
    """Tell whether a cell reads back as what was stored."""
    if cell is None:
        return text == ""
    if isinstance(cell, int | float):
        return float(text) == cell
    return text == (cell.isoformat() if isinstance(cell, date) else cell)


def test_the_csv_says_what_decides_and_what_does_not() -> None:
    first = lines(replace(rich(), views=VIEWS))[0]
    assert (first["kind"], first["baseline"], first["covariates"], first["verdict"]) == (
        "row",
        "multi_vae",
        "True",
        "better",
    )
    view = next(line for line in lines(VIEWED) if line["kind"] == "view")
    assert (view["baseline"], view["covariates"], view["monitoring"]) == ("multi_vae", "False", "fixed")


def test_an_absent_number_is_empty_in_the_csv_and_has_its_reason() -> None:
    row: LiftRow = replace(ROWS[0], lift=None, low=None, high=None, reason='control is "0", so, none')
    (line,) = lines(readout((row,), truths=()))
    assert (line["lift"], line["reason"]) == ("", 'control is "0", so, none')
