"""The report as PDF, SVG or PNG, set by typst: it comes in a wheel, with its fonts, and asks the system for nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from ab_platform.errors import PlatformError

Picture = Literal["pdf", "svg", "png"]

PIXELS_PER_INCH = 192.0
NO_TIME = datetime(1980, 1, 1, tzinfo=UTC)
"""Instead of now, so that the same report is the same file."""


def typeset(source: str, form: Picture) -> bytes:
    """Set a document of typst.

    Args:
        source: of the document; for a picture, of one sheet.
        form: what it becomes.

    Raises:
        PlatformError: when the document cannot be set.
    """
    import typst

    try:
        done = typst.compile(source.encode(), format=form, ppi=PIXELS_PER_INCH, timestamp=NO_TIME)
    except typst.TypstError as error:
        raise PlatformError(f"the report could not be set as {form}: {error.message}; try --format html") from error
    assert isinstance(done, bytes), "several pages come as a list; a sheet has one, and a PDF is one"
    return done
