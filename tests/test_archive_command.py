"""`abp archive`, as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ab_platform.cli import archive, erase, upkeep
from ab_platform.storage.store import Store
from tests.storage.archived import LATER, lived


@pytest.fixture
def folder(store: Store, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive's folder, of a store with a week of two experiments that the environment names."""
    monkeypatch.setenv("ABP_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ABP_HOME", str(tmp_path))
    monkeypatch.delenv("ABP_ARCHIVE", raising=False)
    for verbs in (archive, erase, upkeep):
        monkeypatch.setattr(verbs, "now", lambda: LATER)
    lived(store)
    return tmp_path / "archive"


def abp(*words: str) -> Result:
    app = typer.Typer()
    for verbs in (archive, erase, upkeep):
        verbs.register(app)
    return CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_the_days_that_changed_are_shown_with_their_rows_and_size(folder: Path) -> None:
    one = abp("archive", "--day", "2026-03-02")
    assert one.stdout.splitlines()[1].split() == ["2026-03-02", "72", "12", "24", "0.1", "MB", "published"]
    assert "2026-03-02 did not change since it was archived" in abp("archive", "--day", "2026-03-02").stderr
    told = json.loads(abp("archive", "--json").stdout)
    assert [each["day"] for each in told] == [f"2026-03-0{day}" for day in (1, 3, 4, 5, 6)]
    assert {each["state"] for each in told} == {"published"}
    assert f"no day changed since it was archived in {folder}" in abp("archive").stderr
    assert abp("archive", "--again").stdout.count("unchanged") == 6


def test_a_damaged_day_is_named_and_made_again(folder: Path) -> None:
    abp("archive")
    assert "all files of 6 days" in abp("archive", "--verify").stderr
    path = min(folder.glob("events/day=2026-03-02/*"))
    path.unlink()
    told = abp("archive", "--verify")
    assert (told.exit_code, told.stderr.splitlines()) == (
        0,
        [f"{path} is missing", "2026-03-02 was made again from the database"],
    )
    assert path.exists()


def test_a_file_that_nothing_can_make_again_is_an_error(folder: Path) -> None:
    abp("archive")
    assert abp("retain").exit_code == 0
    path = min(folder.glob("events/day=2026-03-02/*"))
    path.unlink()
    told = abp("archive", "--verify")
    assert told.exit_code == 1
    assert f"not made again: {path} is missing; events of first, second on 2026-03-02 are in the archive" in told.stderr


def test_verifying_takes_no_other_option(folder: Path) -> None:
    assert abp("archive", "--verify", "--again").exit_code == 2


def test_an_archive_that_is_in_use_holds_retention_back_and_is_erased_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABP_ARCHIVE", str(folder))
    kept = "first keeps its events: 6 days of them are not archived, such as 2026-03-01; run `abp archive`"
    assert kept in abp("retain").stderr
    abp("archive")
    monkeypatch.delenv("ABP_ARCHIVE")
    told = json.loads(abp("erase", "u004", "--yes", "--json").stdout)
    assert told["archived"] == {"events": 18, "exposures": 2, "user_days": 6}
    abp("archive")
    assert json.loads(abp("retain", "--json").stdout)[0]["outcome"] == "deleted"
