"""`abp report` as it writes files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ab_platform.cli.main import app
from ab_platform.reporting.writing import drawable
from ab_platform.storage.store import open_store
from tests.dashboards.stored import analyse, launch
from tests.readouts import ROWS, readout, views_of

KEY = "pia-vs-multivae"
BEGINNINGS = {
    "html": b"<!doctype html>",
    "pdf": b"%PDF-",
    "png": b"\x89PNG",
    "svg": b"<svg",
    "csv": b"kind,",
    "markdown": b"## ",
    "latex": b"% needs",
    "text": b"pia-vs-multivae, as of",
}

needs_pictures = pytest.mark.skipif(
    not (drawable() and find_spec("typst")), reason="the extra dashboard is not installed"
)


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run `abp report` on a store with one experiment, analysed on two days; give the exit status and the output."""
    with closing(open_store(f"sqlite:///{tmp_path / 'abp.db'}", migrate=True)) as store:
        launch(store)
        found = replace(readout(), views=tuple(view for row in ROWS for view in views_of(row)))
        for day in (8, 9):
            analyse(store, found, as_of=found.as_of.replace(day=day))
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    monkeypatch.delenv("ABP_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["report", KEY, *words])
        return done.exit_code, done.output

    return run


@needs_pictures
@pytest.mark.parametrize("form", BEGINNINGS)
def test_a_report_is_written_in_every_format(report: Callable[..., tuple[int, str]], tmp_path: Path, form: str) -> None:
    assert report("--format", form, "-o", "report")[0] == 0
    assert (tmp_path / "report").read_bytes().startswith(BEGINNINGS[form])


@needs_pictures
def test_the_html_is_the_full_report(report: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    report("--format", "html", "-o", "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Over time</h2>" in page
    assert "Sample ratio of all users" in page


@pytest.mark.parametrize("form", ["pdf", "png"])
def test_what_no_terminal_shows_wants_a_file(report: Callable[..., tuple[int, str]], form: str) -> None:
    status, said = report("--format", form)
    assert status == 2
    assert f"-o report.{form}" in " ".join(said.replace("│", " ").split())


def test_an_unknown_format_is_answered_with_those_there_are(report: Callable[..., tuple[int, str]]) -> None:
    status, said = report("--format", "docx")
    assert status == 2
    assert "text, markdown, html, latex, csv, svg, png, pdf" in " ".join(said.replace("│", " ").split())


def test_a_csv_goes_to_the_terminal_without_an_empty_line(report: Callable[..., tuple[int, str]]) -> None:
    status, said = report("--format", "csv")
    assert status == 0
    assert len(said.splitlines()) == 1 + 6 + 12
