"""A user has one number in all files of the archive, and keeps it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ab_platform.errors import StoreError
from ab_platform.storage.archive import Archive, ArchivedFile, arrow_schema
from ab_platform.storage.archive.numbering import Numbering, forget_shard

FIRST = date(2026, 3, 2)
PEOPLE = (("ann", "bob", "ann"), ("eve", "ann"), ("ü", "a longer name than others have, by far", "bob", "eve"))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive", shards=2)


def written(archive: Archive, day: int, *users: str, shard: int = 0) -> ArchivedFile:
    when = FIRST + timedelta(days=day)
    at = datetime(2026, 3, 2, 8, tzinfo=UTC) + timedelta(days=day)
    rows = [{"experiment": "e", "user_id": user, "surface": "home_card", "arm": "new", "at": at} for user in users]
    with archive.part("exposures", when, shard) as part:
        part.add(pa.Table.from_pylist(rows, schema=arrow_schema("exposures")))
    assert part.file is not None
    return part.file


def found(archive: Archive, files: list[ArchivedFile]) -> dict[str, int]:
    """Require that users and numbers are one to one over all files, and return them."""
    numbering = Numbering(archive)
    numbering.number(files)
    pairs = {
        (user, int(number))
        for file in files
        for user, number in zip(
            pq.read_table(archive.folder / file.path, partitioning=None)["user_id"].to_pylist(),
            numbering.of(file),
            strict=True,
        )
    }
    assert len({user for user, _ in pairs}) == len({number for _, number in pairs}) == len(pairs)
    assert all(number < numbering.users(files[0].shard) for _, number in pairs)
    return dict(pairs)


def test_a_user_has_one_number_on_all_days(archive: Archive) -> None:
    files = [written(archive, day, *users) for day, users in enumerate(PEOPLE)]
    assert sorted(found(archive, files).values()) == [0, 1, 2, 3, 4]


def test_numbers_last_when_new_days_come(archive: Archive) -> None:
    files = [written(archive, day, *users) for day, users in enumerate(PEOPLE)]
    before, lineage = found(archive, files[:1]), Numbering(archive).lineage(0)
    assert before.items() <= found(archive, files).items()
    assert Numbering(archive).lineage(0) == lineage


def test_shards_have_numbers_of_their_own(archive: Archive) -> None:
    files = [written(archive, 0, "ann"), written(archive, 0, "bob", shard=1)]
    numbering = Numbering(archive)
    numbering.number(files)
    assert [numbering.of(file).tolist() for file in files] == [[0], [0]]


def test_a_day_that_is_published_anew_has_the_numbers_of_its_new_file_alone(archive: Archive) -> None:
    files = [written(archive, day, *users) for day, users in enumerate(PEOPLE)]
    before = found(archive, files)
    anew = written(archive, 1, "eve", "ann", "zoe")
    after = found(archive, [files[0], anew, files[2]])
    assert after == before | {"zoe": 5}
    assert len(list(archive.folder.glob("numbers/*/exposures-2026-03-03-*"))) == 1
    with pytest.raises(StoreError, match=r"have no numbers, or others since a moment ago.*repeat"):
        Numbering(archive).of(files[1])


@pytest.mark.parametrize("damage", ["cut short", "emptied", "changed", "lost"])
@pytest.mark.parametrize("what", ["users.arrow", "exposures-2026-03-03-*"])
def test_what_is_damaged_is_made_again(archive: Archive, what: str, damage: str) -> None:
    files = [written(archive, day, *users) for day, users in enumerate(PEOPLE)]
    before = found(archive, files)
    [path] = archive.folder.glob(f"numbers/00-*/{what}")
    content = path.read_bytes()
    match damage:
        case "lost":
            path.unlink()
        case "changed":
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case _:
            path.write_bytes(content[: -3 if damage == "cut short" else 0])
    assert found(archive, files).keys() == before.keys()


def test_numbers_of_a_shard_that_were_made_anew_have_another_lineage(archive: Archive) -> None:
    file = written(archive, 0, "ann", "bob")
    found(archive, [file])
    lineage = Numbering(archive).lineage(0)
    forget_shard(archive, 0)
    assert not any(b"ann" in path.read_bytes() for path in archive.folder.glob("numbers/*/*"))
    found(archive, [file])
    assert Numbering(archive).lineage(0) not in ("", lineage)


def test_several_may_number_at_a_time(archive: Archive) -> None:
    files = [written(archive, day, *(f"user-{day}-{number}" for number in range(200)), "ann") for day in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda file: Numbering(archive).number([file]), files))
    assert len(found(archive, files)) == 8 * 200 + 1
    assert len(list(archive.folder.glob("numbers/00-*"))) == 1


def test_users_are_found_by_their_ids(archive: Archive) -> None:
    file = written(archive, 0, "ann", "bob", "eve")
    assert Numbering(archive).find(0, ["ann"]) == {}
    found(archive, [file])
    assert Numbering(archive).find(0, ["eve", "ann", "somebody else"]) == {"ann": 0, "eve": 2}


def test_ids_that_end_alike_or_with_a_zero_byte_are_told_apart(archive: Archive) -> None:
    assert len(found(archive, [written(archive, 0, "a", "a\0", "a\0\0", "")])) == 4
