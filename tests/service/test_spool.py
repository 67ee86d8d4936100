"""The spool: what is acknowledged is handed over, whatever was killed, full or spoiled in between."""

from __future__ import annotations

import fcntl
import logging
import os
import random
import re
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from errno import EIO, ENOSPC
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ab_platform.errors import SpoolFullError
from ab_platform.service import spool as spool_module
from ab_platform.service.codec import Item
from ab_platform.service.segments import HEADER_BYTES, Segment, Spoiled, read
from ab_platform.service.spool import BAD, Pending, Spool
from tests.service.spooling import drained, lines_of, never, numbers, said, watch, watches

ROOT = Path(__file__).parents[2]


def child(verb: str, folder: Path, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.service.spooling", verb, str(folder), str(number)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stdout(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout
    return process.stdout


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.events"))


def only_segment(folder: Path) -> Path:
    (path,) = segments(folder)
    return path


def spooled(folder: Path, batches: int, batch: int) -> bytes:
    """Append batches to one segment, leave it, and return its content."""
    spool = Spool(folder)
    for start in range(0, batches * batch, batch):
        spool.append(watches(start, start + batch))
    spool.close()
    return only_segment(folder).read_bytes()


def kept(spool: Spool, events: Sequence[Item]) -> bool:
    """Append events; return whether there was room."""
    try:
        spool.append(events)
    except SpoolFullError:
        return False
    return True


def fill(disk: Path) -> None:
    """Leave no room for another page."""
    free = os.statvfs(disk)
    (disk / "filling").write_bytes(bytes(free.f_bavail * free.f_frsize))
    with pytest.raises(OSError, match="No space left"):
        (disk / "one more").write_bytes(b"x")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_events_come_back_as_they_were_and_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(watches(0, 3))
    spool.append(watches(3, 10))
    assert drained(spool) == watches(0, 10)


def test_what_was_handed_over_is_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(watches(0, 3))
    assert spool.drain(lambda _: None, stop=never) == 3
    assert drained(spool) == []
    assert spool.pending() == Pending(0, 0, 0)
    assert segments(tmp_path) == []


def test_a_spool_that_was_drained_takes_events_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(3):
        spool.append([watch(number)])
        assert drained(spool) == [watch(number)]


def test_nothing_is_written_for_no_events(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([])
    assert spool.pending() == Pending(0, 0, 0)


def test_what_waits_is_told(tmp_path: Path) -> None:
    ours, theirs = Spool(tmp_path), Spool(tmp_path)
    ours.append(watches(0, 3))
    theirs.append(watches(3, 10))
    size = sum(path.stat().st_size for path in segments(tmp_path))
    assert ours.pending() == theirs.pending() == Pending(size, 2, 10)


def test_what_waits_is_told_also_behind_a_torn_record(tmp_path: Path) -> None:
    content = spooled(tmp_path, 3, 200)
    only_segment(tmp_path).write_bytes(content[:-100])
    assert Spool(tmp_path).pending().events == 400


def test_what_was_handed_over_of_a_segment_does_not_wait(tmp_path: Path) -> None:
    spooled(tmp_path, 10, 5)
    spool, handed = Spool(tmp_path), list[Item]()
    assert spool.drain(handed.extend, at_once=5, stop=lambda: len(handed) >= 15) == 15
    assert spool.pending().events == 35
    assert numbers(drained(spool)) == list(range(15, 50))


def test_batches_are_as_large_as_asked_at_most(tmp_path: Path) -> None:
    spool, sizes = Spool(tmp_path), list[int]()
    for start, end in ((0, 3), (3, 6), (6, 30), (30, 31)):
        spool.append(watches(start, end))
    assert spool.drain(lambda events: sizes.append(len(events)), at_once=10, stop=never) == 31
    assert sizes == [6, 10, 10, 4, 1]


def test_what_take_refuses_stays_and_its_error_is_the_callers(tmp_path: Path) -> None:
    spooled(tmp_path, 4, 5)
    spool, handed = Spool(tmp_path), list[Item]()

    def take(events: Sequence[Item]) -> None:
        if len(handed) == 10:
            raise ConnectionError("away")
        handed.extend(events)

    with pytest.raises(ConnectionError, match="away"):
        spool.drain(take, at_once=5, stop=never)
    assert numbers(handed + drained(spool)) == list(range(20))


def test_a_database_that_stays_away_does_not_make_a_file_of_each_try(tmp_path: Path) -> None:
    spool = Spool(tmp_path)

    def away(events: Sequence[Item]) -> None:
        raise ConnectionError("away")

    for number in range(10):
        spool.append([watch(number)])
        with pytest.raises(ConnectionError):
            spool.drain(away, stop=never)
    assert len(segments(tmp_path)) == 2
    assert numbers(drained(spool)) == list(range(10))


def test_a_segment_that_a_living_process_writes_is_left_to_it(tmp_path: Path) -> None:
    ours, theirs = Spool(tmp_path), Spool(tmp_path)
    theirs.append(watches(0, 3))
    ours.append(watches(3, 5))
    assert drained(ours) == watches(3, 5)
    assert drained(theirs) == watches(0, 3)


def test_a_long_segment_is_not_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 10_000)
    spool = Spool(tmp_path)
    for start in range(0, 500, 10):
        spool.append(watches(start, start + 10))
    sizes = [path.stat().st_size for path in segments(tmp_path)]
    assert len(sizes) > 10
    assert max(sizes) < 15_000
    assert drained(spool) == watches(0, 500)


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    content = spooled(tmp_path / "spool", 2, 2)
    only_segment(tmp_path / "spool").write_bytes(content[:HEADER_BYTES] + b"x" + content[HEADER_BYTES + 1 :])
    Spool(tmp_path / "spool").append([watch(9)])
    modes = {stat.S_IMODE(path.stat().st_mode) for path in segments(tmp_path / "spool")}
    drained(Spool(tmp_path / "spool"))
    aside = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool" / BAD).iterdir()]
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool", tmp_path / "spool" / BAD)}
    assert (modes, aside, folders) == ({0o600}, [0o600], {0o700})


def test_events_are_on_disk_before_they_are_acknowledged_and_so_is_the_name_of_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, synced, fsync = Spool(tmp_path), list[tuple[bool, int]](), os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        state = os.fstat(descriptor)
        synced.append((stat.S_ISDIR(state.st_mode), 0 if stat.S_ISDIR(state.st_mode) else state.st_size))

    monkeypatch.setattr(os, "fsync", noted)
    spool.append(watches(0, 3))
    first = only_segment(tmp_path).stat().st_size
    spool.append(watches(3, 6))
    assert synced == [(False, first), (True, 0), (False, only_segment(tmp_path).stat().st_size)]


def test_threads_that_append_and_drain_together_lose_and_double_nothing(tmp_path: Path) -> None:
    spool, handed, lock, ended = Spool(tmp_path), list[Item](), threading.Lock(), threading.Event()

    def append(start: int) -> None:
        for number in range(start, start + 100, 5):
            spool.append(watches(number, number + 5))

    def take(events: Sequence[Item]) -> None:
        with lock:
            handed.extend(events)

    def drain() -> None:
        while not ended.is_set():
            spool.drain(take, at_once=10, stop=never)

    appenders = [threading.Thread(target=append, args=(100 * number,)) for number in range(4)]
    drainers = [threading.Thread(target=drain) for _ in range(2)]
    for thread in appenders + drainers:
        thread.start()
    for thread in appenders:
        thread.join()
    ended.set()
    for thread in drainers:
        thread.join()
    assert sorted(numbers(handed + drained(spool))) == list(range(400))


@pytest.mark.parametrize("round_", range(10))
def test_what_a_killed_writer_acknowledged_is_handed_over_by_another_process(tmp_path: Path, round_: int) -> None:
    chance, batch = random.Random(round_), 400
    with child("write", tmp_path, batch) as writer:
        heard = lines_of(stdout(writer), chance.randint(1, 5))
        time.sleep(chance.uniform(0.0, 0.02))
        writer.kill()
        heard += "".join(stdout(writer))
    acknowledged = said(heard)
    handed = numbers(drained(Spool(tmp_path)))
    assert len(acknowledged) >= batch
    assert Counter(handed) in [
        Counter(range(len(acknowledged))),
        Counter(range(len(acknowledged) + batch)),  # written, and killed before it could say so
    ]
    assert Spool(tmp_path).pending() == Pending(0, 0, 0)


def test_a_killed_drainer_repeats_no_more_than_the_batch_it_was_in(tmp_path: Path) -> None:
    spooled(tmp_path, 20, 10)
    with child("die", tmp_path, 10) as drainer:
        handed = said("".join(stdout(drainer)))
    assert handed == set(range(30))
    assert numbers(drained(Spool(tmp_path))) == list(range(20, 200))


def test_two_processes_that_drain_at_once_hand_over_nothing_twice(tmp_path: Path) -> None:
    for start in range(0, 2_000, 100):
        spool = Spool(tmp_path)
        for number in range(start, start + 100, 10):
            spool.append(watches(number, number + 10))
        spool.close()
    with child("drain", tmp_path, 10) as one, child("drain", tmp_path, 10) as other:
        for each in (one, other):
            assert next(stdout(each)) == "ready\n"
        for each in (one, other):
            assert each.stdin
            each.stdin.write("go\n")
            each.stdin.flush()
        shares = [Counter(map(int, "".join(stdout(each)).split())) for each in (one, other)]
    assert all(shares)
    assert shares[0] + shares[1] == Counter(range(2_000))


def finishing(folder: Path) -> Callable[[int | BinaryIO, int], None]:
    """Lock a segment; the first time only after another process finished with it."""
    lock, calls = fcntl.flock, count(1)

    def locked(file: int | BinaryIO, operation: int) -> None:
        if next(calls) == 1:
            only_segment(folder).unlink()
        lock(file, operation)

    return locked


def test_a_segment_that_another_process_finished_just_before_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled(tmp_path, 2, 5)
    spool = Spool(tmp_path)
    monkeypatch.setattr(fcntl, "flock", finishing(tmp_path))
    assert drained(spool) == []


def test_a_new_segment_that_was_taken_for_an_abandoned_one_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    monkeypatch.setattr(fcntl, "flock", finishing(tmp_path))
    spool.append(watches(0, 3))
    assert drained(spool) == watches(0, 3)


def test_the_limit_counts_what_all_processes_keep(tmp_path: Path) -> None:
    ours, theirs = Spool(tmp_path, limit_bytes=10_000), Spool(tmp_path, limit_bytes=10_000)
    theirs.append(watches(0, 20))
    ours.append([watch(20)])
    with pytest.raises(SpoolFullError, match=r"holds \d+ bytes, and \d+ more would pass its limit of 10000") as full:
        ours.append(watches(21, 40))
    assert full.value.retry_after_seconds > 0
    assert sorted(numbers(drained(ours) + drained(theirs))) == list(range(21))
    ours.append(watches(21, 40))
    assert numbers(drained(ours)) == list(range(21, 40))


def test_a_spool_near_its_limit_says_that_it_is_full(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit_bytes=100_000)
    assert not spool.pending().full
    refused = [not kept(spool, [watch(number)]) for number in range(1_000)]
    assert any(refused)
    assert spool.pending().full
    drained(spool)
    assert not spool.pending().full


def test_a_full_disk_refuses_a_batch_whole_and_keeps_the_others(small_disk: Path) -> None:
    spool, batches = Spool(small_disk / "spool"), [watches(start, start + 100) for start in range(0, 6_000, 100)]
    acknowledged = [event for batch in batches if kept(spool, batch) for event in batch]
    with pytest.raises(SpoolFullError, match="cannot take 100 events: No space left on device; make room on its disk"):
        spool.append(batches[0])
    assert spool.pending().events == len(acknowledged) > 1_000
    assert spool.pending().full
    assert drained(spool) == acknowledged
    spool.append([watch(0)])
    assert drained(spool) == [watch(0)]


def test_progress_is_kept_on_a_full_disk(small_disk: Path) -> None:
    spooled(small_disk / "spool", 10, 10)
    fill(small_disk)
    spool, handed = Spool(small_disk / "spool"), list[Item]()
    spool.drain(handed.extend, at_once=10, stop=lambda: len(handed) >= 50)
    assert numbers(drained(spool)) == list(range(50, 100))


def test_what_cannot_be_set_aside_on_a_full_disk_is_kept_with_its_segment(small_disk: Path) -> None:
    folder = small_disk / "spool"
    content = spooled(folder, 10, 100)
    path = only_segment(folder)
    path.write_bytes(content.replace(b'user-5"', b'user-6"'))
    fill(small_disk)
    assert numbers(drained(Spool(folder))) == list(range(100, 1_000))
    assert [each.name for each in (folder / BAD).iterdir()] == [path.name]
    assert segments(folder) == []


def test_files_that_may_grow_no_longer_refuse_a_batch_and_the_next_goes_into_another(tmp_path: Path) -> None:
    with child("limited", tmp_path, 50) as writer:
        acknowledged, refusals = writer.communicate()
    assert set(refusals.split()) == {"full"}
    assert len(segments(tmp_path)) > 2
    assert len(said(acknowledged)) > 1_000
    assert numbers(drained(Spool(tmp_path))) == sorted(said(acknowledged))


def test_a_disk_that_fails_is_not_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)
    spool.append(watches(0, 3))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(SpoolFullError, match="cannot take 2 events: Input/output error"):
            spool.append(watches(3, 5))
        with pytest.raises(SpoolFullError):
            spool.append(watches(3, 5))
    spool.append(watches(5, 8))
    assert len(segments(tmp_path)) == 2
    assert numbers(drained(spool)) == [0, 1, 2, 5, 6, 7]


def test_a_refused_record_that_cannot_be_taken_back_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    spool.append(watches(0, 3))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", half_written(os.pwrite))
        patch.setattr(os, "ftruncate", failing)
        with pytest.raises(SpoolFullError):
            spool.append(watches(3, 50))
    spool.append(watches(50, 53))
    assert len(segments(tmp_path)) == 2
    assert numbers(drained(spool)) == [0, 1, 2, 50, 51, 52]


def failing(*_: int) -> None:
    raise OSError(EIO, "Input/output error")


def half_written(write: Callable[[int, memoryview, int], int]) -> Callable[[int, memoryview, int], int]:
    """Write a little, then find the disk full."""
    calls = count(1)

    def written(descriptor: int, content: memoryview, offset: int) -> int:
        if next(calls) > 1:
            raise OSError(ENOSPC, "No space left on device")
        return write(descriptor, content[:1_000], offset)

    return written


def test_a_spoiled_record_is_set_aside_with_a_word_in_the_log_and_the_rest_is_handed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = spooled(tmp_path, 5, 10)
    path = only_segment(tmp_path)
    path.write_bytes(content.replace(b'"user-25"', b'"user-26"'))
    spool = Spool(tmp_path)
    with caplog.at_level(logging.ERROR):
        handed = numbers(drained(spool))
    assert handed == [*range(20), *range(30, 50)]
    assert str(path) in caplog.text
    (aside,) = (tmp_path / BAD).iterdir()
    assert aside.name.startswith(path.stem)
    assert aside.read_bytes().count(b'"user-26"') == 2
    assert spool.pending() == Pending(0, 0, 0, spoiled=1)


def test_a_record_of_a_newer_version_is_set_aside(tmp_path: Path) -> None:
    segment = Segment.fresh(tmp_path / "000000000001-x.events")
    assert segment
    segment.append([b'{"type":"purchase"}'])
    segment.close()
    spool = Spool(tmp_path)
    assert drained(spool) == []
    assert spool.pending().spoiled == 1


def test_a_segment_that_the_disk_does_not_give_back_is_set_aside_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = spooled(tmp_path, 2, 5)
    spool = Spool(tmp_path)
    spool.append(watches(10, 15))
    path = segments(tmp_path)[0]
    unread = [Spoiled(HEADER_BYTES, None)]
    monkeypatch.setattr(
        spool_module, "read", lambda file, start: unread if file.name == str(path) else read(file, start)
    )
    assert numbers(drained(spool)) == list(range(10, 15))
    assert (tmp_path / BAD / path.name).read_bytes() == content


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
@example(place=20, byte=ord("f"))  # how far it was handed over
@example(place=HEADER_BYTES - 1, byte=0)
@example(place=-37, byte=0)  # the last record's end
@example(place=-1, byte=0)
def test_a_byte_that_changed_costs_one_record_at_most_and_makes_no_event(place: int, byte: int) -> None:
    with TemporaryDirectory() as folder:
        content = bytearray(spooled(Path(folder), 5, 2))
        content[place % len(content)] = byte
        only_segment(Path(folder)).write_bytes(content)
        handed = drained(Spool(Path(folder)))
        lost = set(range(10)) - set(numbers(handed))
        assert lost in [set(), {0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}]
        assert handed == [watch(number) for number in range(10) if number not in lost]
        # The last byte of all tells a torn record from a whole one.
        told = Spool(Path(folder)).pending().spoiled == 1
        assert told or not lost or place % len(content) == len(content) - 1


@given(st.integers(0, 3_000))
def test_a_segment_that_ends_anywhere_gives_the_records_that_are_whole(length: int) -> None:
    with TemporaryDirectory() as folder:
        content = spooled(Path(folder), 5, 2)
        only_segment(Path(folder)).write_bytes(content[:length])
        whole = sum(end.end() <= length for end in re.finditer(rb"\n@.*\n", content))
        assert numbers(drained(Spool(Path(folder)))) == list(range(2 * whole))
        assert Spool(Path(folder)).pending() == Pending(0, 0, 0)


def test_many_events_are_handed_over(tmp_path: Path) -> None:
    spool, handed, many = Spool(tmp_path), Counter[int](), 200_000
    batch = watches(0, 5_000)
    for _ in range(0, many, 5_000):
        spool.append(batch)
    assert spool.pending().events == many
    assert spool.drain(lambda events: handed.update([len(events)]), stop=never) == many
    assert handed == {5_000: many // 5_000}
