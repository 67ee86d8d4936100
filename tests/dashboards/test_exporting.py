"""What can be taken away: every file is offered, named for its experiment and day, and made when asked for."""

from dataclasses import replace
from importlib.util import find_spec

import pytest

from ab_platform import analysis
from ab_platform.reporting.course import Course
from ab_platform.reporting.viewing import AS_DECIDED, View
from ab_platform.reporting.writing import drawable
from ab_platform.storage.store import Store
from dashboards.exporting import FIGURES, REPORTS, TABLES, Offer, made
from tests.dashboards.stored import analyse, launch
from tests.dashboards.visiting import visit
from tests.readouts import ROWS, readout, views_of

OFFERS = (*REPORTS, *TABLES, *FIGURES)
BEGINNINGS = {
    "html": b"<!doctype html>",
    "pdf": b"%PDF-",
    "png": b"\x89PNG",
    "svg": b"<svg",
    "md": b"## pia-vs-multivae, as of 2025-03-09",
    "tex": b"% needs",
    "csv": b"kind,baseline,",
    "json": b"{\n",
}
VIEWED = replace(readout(), views=tuple(view for row in ROWS for view in views_of(row, covariates=True)))

needs_pictures = pytest.mark.skipif(
    not (drawable() and find_spec("typst")), reason="the extra dashboard is not installed"
)


def file_of(offered: Offer, store: Store, view: View = AS_DECIDED) -> bytes:
    key = "pia-vs-multivae"
    course = Course(store.experiment(key), store.changes(key), store.lift_history(key))
    return made(offered, readout=analysis.readout(store, key), view=view, course=lambda: course, published=False)


def test_every_file_is_offered_and_none_is_made_before_it_is_asked_for(stored: Store) -> None:
    launch(stored)
    analyse(stored, VIEWED)
    page = visit("results")
    buttons = page.get("download_button")
    assert [button.proto.label for button in buttons] == [offered.label for offered in OFFERS]
    assert all(button.proto.deferred_file_id and not button.proto.url for button in buttons)
    assert not any(button.proto.disabled for button in buttons)


@needs_pictures
@pytest.mark.parametrize("offered", OFFERS, ids=lambda offered: offered.ending)
def test_a_file_is_what_its_name_says(stored: Store, offered: Offer) -> None:
    launch(stored)
    analyse(stored, VIEWED)
    assert file_of(offered, stored).startswith(BEGINNINGS[offered.ending])


@needs_pictures
@pytest.mark.parametrize("offered", [*REPORTS, *TABLES], ids=lambda offered: offered.ending)
def test_a_table_is_taken_as_it_is_shown(stored: Store, offered: Offer) -> None:
    launch(stored)
    analyse(stored, VIEWED)
    assert file_of(offered, stored, View(looks="sequential")) != file_of(offered, stored)


@pytest.mark.parametrize("offered", FIGURES, ids=lambda offered: offered.ending)
def test_the_stored_figures_are_the_same_however_the_table_is_looked_at(stored: Store, offered: Offer) -> None:
    launch(stored)
    analyse(stored, VIEWED)
    assert file_of(offered, stored, View(looks="sequential")) == file_of(offered, stored)


def test_what_cannot_be_made_here_says_what_is_missing(stored: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    launch(stored)
    analyse(stored, VIEWED)
    monkeypatch.setattr("dashboards.exporting.find_spec", lambda name: None)
    buttons = {button.proto.label: button.proto for button in visit("results").get("download_button")}
    assert buttons["PNG"].disabled
    assert buttons["PNG"].help == "typst is not installed: pip install 'ab-platform[dashboard]'"
    assert not buttons["CSV"].disabled
