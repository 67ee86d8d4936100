"""The archive's files and manifests: all of a day or none, and damage is named."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ab_platform.errors import StoreError
from ab_platform.storage.archive import Archive, ArchivedFile, arrow_schema, shards_of

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 3, 1, tzinfo=UTC)


def exposures(*users: str) -> pa.Table:
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    rows = [{"experiment": "e", "user_id": user, "surface": "home_card", "arm": "control", "at": at} for user in users]
    return pa.Table.from_pylist(rows, schema=arrow_schema("exposures"))


def many(user: str) -> pa.Table:
    """Return more rows than wait in memory."""
    return pa.concat_tables([exposures(*[user] * 1_000)] * 130)


def written(archive: Archive, *users: str, shard: int = 0) -> ArchivedFile:
    with archive.part("exposures", DAY, shard) as part:
        part.add(exposures(*users))
    assert part.file is not None
    return part.file


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive", shards=4)


def read(archive: Archive) -> list[str]:
    paths = archive.paths(archive.days(), "exposures")
    return [user for path in paths for user in pq.read_table(path)["user_id"].to_pylist()]


def test_a_part_is_nobodys_until_its_day_is_published(archive: Archive) -> None:
    file = written(archive, "ann", "bob")
    assert archive.days() == ()
    assert read(archive) == []
    day = archive.publish(DAY, [file], at=AT)
    assert (archive.days(), read(archive), day.rows("exposures")) == ((day,), ["ann", "bob"], 2)


def test_the_same_rows_published_again_change_nothing(archive: Archive) -> None:
    first = archive.publish(DAY, [written(archive, "ann")], at=AT)
    again = archive.publish(DAY, [written(archive, "ann")], at=datetime(2026, 3, 9, tzinfo=UTC))
    assert again == first
    assert again.published_at == AT


def test_a_day_published_anew_keeps_the_shards_that_are_the_same(archive: Archive) -> None:
    kept, old = written(archive, "ann"), written(archive, "bob", shard=1)
    archive.publish(DAY, [kept, old], at=AT)
    new = written(archive, "bob", "cat", shard=1)
    day = archive.publish(DAY, [kept, new], at=AT)
    assert day.of("exposures", 0) == (kept,)
    assert day.of("exposures", 1) == (new,)
    assert archive.sweep(DAY) == 1
    assert not (archive.folder / old.path).exists()
    assert sorted(read(archive)) == ["ann", "bob", "cat"]


def test_a_shard_without_rows_has_no_file(archive: Archive) -> None:
    with archive.part("exposures", DAY, 0) as part:
        part.add(exposures())
    assert part.file is None
    assert not list(archive.folder.glob("exposures/*/*"))


def test_a_part_that_fails_leaves_nothing(archive: Archive) -> None:
    def fail() -> None:
        with archive.part("exposures", DAY, 0) as part:
            part.add(many("ann"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(archive.folder.glob("exposures/*/*"))


def test_what_a_killed_writer_left_is_swept(archive: Archive) -> None:
    archive.publish(DAY, [written(archive, "ann")], at=AT)
    left = archive.part("exposures", DAY, 1)
    left.add(many("bob"))
    assert archive.sweep(DAY) == 1
    assert read(archive) == ["ann"]


def test_two_parts_of_one_shard_are_refused(archive: Archive) -> None:
    with pytest.raises(StoreError, match="two parts of exposures, shard 0"):
        archive.publish(DAY, [written(archive, "ann"), written(archive, "bob")], at=AT)


def test_a_part_that_went_before_the_day_was_published_is_refused(archive: Archive) -> None:
    file = written(archive, "ann")
    (archive.folder / file.path).unlink()
    with pytest.raises(StoreError, match="write the part anew"):
        archive.publish(DAY, [file], at=AT)


def test_damage_is_named(archive: Archive) -> None:
    whole, missing, short, changed = (written(archive, "ann", shard=shard) for shard in range(4))
    (archive.folder / missing.path).unlink()
    path = archive.folder / short.path
    path.write_bytes(path.read_bytes()[:-1])
    path = archive.folder / changed.path
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    found = archive.damage([whole, missing, short, changed])
    assert whole not in found
    assert found[missing] == "is missing"
    assert found[short] == f"has {short.size - 1:,} bytes in place of {short.size:,}"
    assert found[changed].startswith("has the checksum ")


def test_a_manifest_that_was_changed_is_refused_with_the_next_step(archive: Archive) -> None:
    archive.publish(DAY, [written(archive, "ann")], at=AT)
    path = archive.folder / "days" / "2026-03-02.json"
    path.write_text(path.read_text().replace('"shard": 0', '"shard": "0"').replace("sha256", "sha", 1))
    with pytest.raises(StoreError, match="abp archive --day 2026-03-02 --again"):
        archive.day(DAY)


def test_an_archive_keeps_its_number_of_shards(archive: Archive) -> None:
    assert Archive(archive.folder, shards=64).shards == 4


def test_users_are_divided_evenly_and_always_alike() -> None:
    users = [f"user-{number}" for number in range(4_000)]
    shards = shards_of(users, 4)
    assert shards.tolist() == shards_of(users, 4).tolist()
    sizes = [int((shards == shard).sum()) for shard in range(4)]
    assert all(abs(size - 1_000) < 120 for size in sizes)  # 4.4 standard deviations of a binomial
