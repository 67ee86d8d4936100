"""The report as PDF, SVG and PNG: whole, and the same file for the same report."""

import pytest

from ab_platform.errors import PlatformError
from ab_platform.reporting.pdf import Picture, typeset
from ab_platform.reporting.printed import printed
from ab_platform.reporting.typst_source import source
from tests.readouts import readout
from tests.reporting.rich import rich

pytest.importorskip("typst", reason="typst is not installed")

BEGINNINGS: dict[Picture, bytes] = {"pdf": b"%PDF-", "svg": b"<svg", "png": b"\x89PNG\r\n"}


@pytest.mark.parametrize("form", BEGINNINGS)
def test_a_report_is_the_same_file_every_time(form: Picture) -> None:
    document = source(printed(rich()), paper="pages" if form == "pdf" else "sheet")
    first = typeset(document, form)
    assert first.startswith(BEGINNINGS[form])
    assert typeset(document, form) == first


def test_a_pdf_says_what_it_is_to_who_cannot_see_it() -> None:
    done = typeset(source(printed(readout())), "pdf")
    assert b"pia-vs-multivae, as of 2025-03-09" in done
    assert b"/MarkInfo" in done
    assert b"/Lang" in done


def test_a_document_that_cannot_be_set_is_told_in_a_sentence() -> None:
    with pytest.raises(PlatformError, match="the report could not be set as pdf: unknown variable: nothing"):
        typeset("#nothing", "pdf")
