"""The outbox: what a caller was told is safe survives kills, torn writes, full disks, and is sent once in the end."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ab_platform.client.outbox import Outbox
from ab_platform.client.queues import MemoryQueue, Queue
from ab_platform.client.wire_event import read
from tests.client.fake_service import FakeService
from tests.client.made import clicks, client, ids, lines

ROOT = Path(__file__).parent.parent.parent
BIG = 10**9


def nowhere() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def taken(queue: Queue, most: int = 7) -> list[bytes]:
    """Take everything out of a queue."""
    found: list[bytes] = []
    while (batch := queue.peek(most, BIG)) is not None:
        found += batch.lines
        queue.done(batch)
    return found


def killed(url: str, folder: Path, *, seconds: float) -> set[str]:
    """Run a client and kill it; return the ids that it was told were safe."""
    command = [sys.executable, "-m", "tests.client.killed", url, str(folder)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read()
    child.wait()
    return {line for line in (first + rest).split("\n")[:-1] if line}


@pytest.fixture(params=["memory", "outbox"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Queue:
    return MemoryQueue() if request.param == "memory" else Outbox(tmp_path / "outbox")


def test_a_queue_gives_its_oldest_first_and_keeps_them_until_done(queue: Queue) -> None:
    sent = lines(clicks(10))
    queue.put(sent[:6])
    queue.put(sent[6:])
    batch = queue.peek(4, BIG)
    assert batch is not None
    assert list(batch.lines) == sent[:4]
    assert queue.peek(4, BIG) == batch
    queue.done(batch)
    assert queue.waiting() == 6
    assert taken(queue) == sent[4:]
    assert queue.peek(4, BIG) is None
    assert queue.waiting() == 0


def test_a_queue_gives_no_more_bytes_than_asked_but_at_least_one_event(queue: Queue) -> None:
    sent = lines(clicks(10))
    queue.put(sent)
    batch = queue.peek(10, len(sent[0]) + len(sent[1]) + 2)
    assert batch is not None
    assert len(batch.lines) == 2
    alone = queue.peek(10, 1)
    assert alone is not None
    assert len(alone.lines) == 1


def test_what_waits_is_there_for_the_next_start_and_nobody_else_reads_it(tmp_path: Path) -> None:
    first = Outbox(tmp_path)
    sent = lines(clicks(20))
    first.put(sent)
    batch = first.peek(5, BIG)
    assert batch is not None
    first.done(batch)
    first.close()
    again = Outbox(tmp_path)
    assert again.waiting() == 15
    assert taken(again) == sent[5:]
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir() if path.suffix == ".events")


def test_events_and_the_name_of_their_file_are_synced_before_the_caller_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, int]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        synced.append((stat.S_ISDIR(found.st_mode), found.st_size))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    outbox = Outbox(tmp_path)
    outbox.put(lines(clicks(3)))
    [path] = tmp_path.glob("*.events")
    assert [folder for folder, _ in synced] == [True, False]
    assert synced[-1] == (False, path.stat().st_size)
    outbox.put(lines(clicks(3)))
    assert synced[-1] == (False, path.stat().st_size)
    assert len(synced) == 3


def test_what_is_sent_leaves_nothing_behind(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.put(lines(clicks(20)))
    taken(outbox)
    outbox.close()
    assert list(tmp_path.iterdir()) == []


def test_long_outboxes_are_many_files_and_those_that_are_sent_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ab_platform.client.outbox.SEGMENT_BYTES", 2_000)
    outbox = Outbox(tmp_path)
    sent = lines(clicks(100))
    for line in sent:
        outbox.put([line])
    assert len(list(tmp_path.glob("*.events"))) > 5
    assert taken(outbox) == sent
    assert len(list(tmp_path.iterdir())) <= 2


def test_an_outbox_over_its_limit_loses_its_oldest_file_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ab_platform.client.outbox.SEGMENT_BYTES", 2_000)
    outbox = Outbox(tmp_path, limit_bytes=10_000)
    sent = lines(clicks(100))
    for line in sent:
        outbox.put([line])
    assert sum(path.stat().st_size for path in tmp_path.glob("*.events")) <= 10_000
    left = taken(outbox)
    assert left == sent[-len(left) :]
    assert outbox.dropped() == 100 - len(left) > 0
    assert "over its limit" in caplog.text


def test_a_torn_last_event_is_left_out_and_the_whole_ones_are_sent(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    sent = lines(clicks(5))
    outbox.put(sent)
    outbox.close()
    [path] = tmp_path.glob("*.events")
    path.write_bytes(path.read_bytes()[:-10])
    again = Outbox(tmp_path)
    assert again.waiting() == 4
    assert taken(again) == sent[:4]
    assert again.dropped() == 0


def test_a_damaged_event_is_passed_over_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path)
    sent = lines(clicks(5))
    outbox.put(sent)
    outbox.close()
    [path] = tmp_path.glob("*.events")
    path.write_bytes(path.read_bytes().replace(b'"t0"', b'"t9"', 3).replace(b'"t9"', b'"t0"', 2))
    again = Outbox(tmp_path)
    assert taken(again) == [*sent[:2], *sent[3:]]
    assert (again.dropped(), again.waiting()) == (1, 0)
    assert "is damaged" in caplog.text


def test_two_processes_share_a_folder_and_each_sends_its_own(tmp_path: Path) -> None:
    one, other = Outbox(tmp_path), Outbox(tmp_path)
    sent = lines(clicks(10))
    one.put(sent[:5])
    other.put(sent[5:])
    third = Outbox(tmp_path)
    assert (one.waiting(), other.waiting(), third.waiting()) == (5, 5, 0)
    one.close()
    assert taken(Outbox(tmp_path)) == sent[:5]
    assert taken(other) == sent[5:]


def test_a_file_whose_progress_cannot_be_read_is_sent_from_its_start(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    sent = lines(clicks(4))
    outbox.put(sent)
    batch = outbox.peek(2, BIG)
    assert batch is not None
    outbox.done(batch)
    outbox.close()
    [progress] = tmp_path.glob("*.sent")
    progress.write_text("no number")
    assert taken(Outbox(tmp_path)) == sent


def test_a_disk_that_takes_no_more_keeps_events_in_memory_and_the_file_whole(tmp_path: Path) -> None:
    program = f"""
        import resource, signal
        from pathlib import Path
        from ab_platform.client.outbox import Outbox
        from tests.client.made import clicks, lines
        from tests.client.test_outbox import taken
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
        outbox = Outbox(Path({str(tmp_path)!r}))
        sent = lines(clicks(60))
        for start in range(0, 60, 6):
            outbox.put(sent[start : start + 6])
        whole = Path(next(Path({str(tmp_path)!r}).glob("*.events"))).read_bytes()
        assert whole.endswith(b"\\n") and 0 < len(whole) <= 5_000, len(whole)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        outbox.put(sent[:1])
        assert sorted(taken(outbox)) == sorted(sent + sent[:1])
        assert outbox.dropped() == 0
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "wait in memory" in done.stderr


def test_every_event_that_was_safe_before_a_kill_reaches_the_service_after_it(
    service: FakeService, tmp_path: Path
) -> None:
    safe: set[str] = set()
    for _ in range(3):
        safe |= killed(nowhere(), tmp_path, seconds=0.3)
    assert len(safe) > 20
    assert service.seen == []
    with client(service.url, outbox=tmp_path) as sending:
        assert sending.flush(20)
    assert safe <= set(service.stored)
    assert len(set(service.stored) - safe) <= 1  # written, and killed before it could be said
    assert list(tmp_path.glob("*.events")) == []


def test_a_kill_while_events_are_being_sent_loses_none_and_makes_none_twice(
    service: FakeService, tmp_path: Path
) -> None:
    safe = killed(service.url, tmp_path, seconds=0.6)
    assert service.stored
    with client(service.url, outbox=tmp_path) as sending:
        assert sending.flush(20)
        assert sending.counts().rejected == 0
    assert safe <= set(service.stored)
    assert len(set(service.stored) - safe) <= 1


def test_a_client_that_closes_while_the_service_is_away_leaves_its_events_for_the_next(
    service: FakeService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with client(nowhere(), outbox=tmp_path) as sending:
        sending.send(clicks(8))
        sending.close(0)
    assert "8 events wait in the outbox" in caplog.text
    with client(service.url, outbox=tmp_path) as sending:
        deadline = time.monotonic() + 5
        while len(service.stored) < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert set(service.stored) == ids(clicks(8))


def test_the_outbox_holds_lines_that_read_as_the_events_that_were_sent(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.put(lines(clicks(3)))
    assert [read(line) for line in taken(outbox)] == clicks(3)
    assert os.stat(tmp_path).st_mode & 0o700 == 0o700  # noqa: PTH116 - a folder that pytest made
