"""The gallery shows every page that there is, as it is called, with its picture."""

from __future__ import annotations

from contextlib import nullcontext
from unittest.mock import create_autospec

import pytest
from selenium.common.exceptions import TimeoutException

from dashboards.app import SECTIONS
from tests.dashboards.browser import Reader
from tests.dashboards.pictures import DOCS, FOLDER, ON_A_PHONE, PAGES, SCHEMES, gallery, open_patiently


def test_every_page_is_in_the_gallery_under_its_own_title() -> None:
    known = [page for members in SECTIONS.values() for page in members]
    assert [(module, title) for module, title, _ in PAGES] == known


def test_the_gallery_of_the_docs_is_the_one_that_is_written_and_every_picture_is_there() -> None:
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == gallery()
    expected = {f"{module}-{scheme}.png" for module, _, _ in PAGES for scheme in SCHEMES}
    assert {path.name for path in FOLDER.iterdir()} == expected | {f"{module}-phone.png" for module in ON_A_PHONE}


@pytest.mark.parametrize(("late", "shown"), [(0, True), (2, True), (3, False)])
def test_a_page_that_is_late_is_opened_anew_and_not_for_ever(late: int, shown: bool) -> None:
    reader = create_autospec(Reader, instance=True)
    reader.open.side_effect = [*[TimeoutException("late")] * late, None]
    with nullcontext() if shown else pytest.raises(TimeoutException):
        open_patiently(reader, "health", width=390, height=640, scheme="light")
    assert reader.open.call_count == min(late + 1, 3)
