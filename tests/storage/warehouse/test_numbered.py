"""An experiment's rows are read from a file, whatever else is in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from ab_platform.storage.archive import Archive, arrow_schema
from ab_platform.storage.archive.numbering import Numbering
from ab_platform.storage.warehouse.numbered import NumberedFile

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
KEYS = ("a", "b", "c")


def opened(folder: Path, key: str, rows: Sequence[tuple[str, str, str, datetime]]) -> NumberedFile:
    """Write exposures, (experiment, user, surface, at), and open those of an experiment."""
    archive = Archive(folder, shards=1)
    numbering = Numbering(archive)
    names = ("experiment", "user_id", "surface", "at")
    told = [{**dict(zip(names, row, strict=True)), "arm": f"arm of {row[1]}"} for row in rows]
    with archive.part("exposures", DAY, 0) as part:
        part.add(pa.Table.from_pylist(told, schema=arrow_schema("exposures")))
    assert part.file is not None
    numbering.number([part.file])
    return NumberedFile(archive, numbering, part.file, key)


@pytest.mark.parametrize("rows_at_once", [1, 2, 3, 100])
@pytest.mark.parametrize("key", [*KEYS, "between", ""])
def test_only_its_own_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_once: int, key: str
) -> None:
    monkeypatch.setattr("ab_platform.storage.archive.archive.ROWS_AT_ONCE", rows_at_once)
    rows = [(each, f"user {number}", "home_card", AT) for each in KEYS for number in range(4)]
    file = opened(tmp_path, key, rows)
    entered = file.entered(AT + timedelta(hours=1))
    wanted = [0, 1, 2, 3] if key in KEYS else []
    assert entered.users.tolist() == file.users.tolist() == wanted
    arms = [entered.arms.words[code] for code in entered.arms.codes]
    assert arms == [f"arm of user {number}" for number in wanted]


def test_who_was_exposed_at_the_end_or_later_did_not_enter(tmp_path: Path) -> None:
    end = AT + timedelta(microseconds=1)
    file = opened(tmp_path, "a", [("a", "ann", "home_card", AT), ("a", "bob", "home_card", end)])
    assert file.entered(end).users.tolist() == [0]
