"""Marks: what one process touches, another sees, and no touch goes unseen."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_platform.service.marks import Marks

ROOT = Path(__file__).parents[2]
NOW = 1_772_366_400_000_000_000

TOUCH = """
import sys
from pathlib import Path
from ab_platform.service.marks import Marks
marks = Marks(Path(sys.argv[1]), 64)
print(marks.of("ada"), flush=True)
for line in sys.stdin:
    marks.touch(line.strip(), now_ns=int(sys.argv[2]))
    print(marks.of(line.strip()), flush=True)
"""


def child(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TOUCH, str(path), str(NOW)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    return int(process.stdout.readline())


def tell(process: subprocess.Popen[str], user_id: str) -> int:
    assert process.stdin
    process.stdin.write(f"{user_id}\n")
    process.stdin.flush()
    return line_of(process)


def test_a_user_who_was_never_touched_has_no_mark(tmp_path: Path) -> None:
    assert Marks(tmp_path / "marks").of("ada") == 0


def test_a_mark_is_about_the_time_of_the_touch_and_not_before_it(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks")
    marks.touch("ada", now_ns=NOW)
    assert NOW < marks.of("ada") < NOW + 3_000


@given(st.lists(st.integers(NOW - 10_000, NOW + 10_000), min_size=2, max_size=50))
def test_every_touch_changes_the_mark_upwards_whatever_the_clock_does(times: list[int]) -> None:
    with TemporaryDirectory() as folder:
        marks = Marks(Path(folder) / "marks", 8)
        seen = [marks.of("ada")]
        for now in times:
            marks.touch("ada", now_ns=now)
            seen.append(marks.of("ada"))
        marks.close()
    assert all(before < after for before, after in pairwise(seen))


def test_threads_that_touch_in_the_same_instant_never_write_the_same_mark(tmp_path: Path) -> None:
    marks, seen = Marks(tmp_path / "marks"), list[int]()

    def touch(user: str) -> None:
        for _ in range(500):
            marks.touch(user, now_ns=NOW)
            seen.append(marks.of(user))

    threads = [threading.Thread(target=touch, args=(f"user-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 4 * 500


def test_another_process_sees_a_touch_at_once_and_changes_what_was_seen(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks", 64)
    marks.touch("ada", now_ns=NOW)
    ours = marks.of("ada")
    with child(tmp_path / "marks") as other:
        assert line_of(other) == ours
        theirs = tell(other, "ada")
        assert marks.of("ada") == theirs != ours
        marks.touch("ada", now_ns=NOW)
        assert marks.of("ada") not in {ours, theirs}


def test_two_processes_that_touch_in_the_same_nanosecond_write_different_marks(tmp_path: Path) -> None:
    with child(tmp_path / "marks") as one, child(tmp_path / "marks") as other:
        assert line_of(one) == line_of(other) == 0
        # Different users, so that neither sees what the other wrote.
        assert tell(one, "ada") != tell(other, "bob")


def test_processes_that_start_at_once_share_one_file(tmp_path: Path) -> None:
    processes = [child(tmp_path / "marks") for _ in range(6)]
    assert [line_of(each) for each in processes] == [0] * 6
    written = tell(processes[0], "ada")
    marks = Marks(tmp_path / "marks", 64)
    assert marks.of("ada") == written
    assert all(tell(each, "ada") == marks.of("ada") for each in processes)
    for each in processes:
        each.communicate()


def test_whoever_makes_the_file_at_the_same_time_gets_the_same(tmp_path: Path) -> None:
    def opened(path: Path) -> int:
        begin.wait()
        marks = Marks(path, 4_096)
        marks.touch(f"user-{next(numbers)}", now_ns=NOW)
        begin.wait()
        return sum(marks.of(f"user-{number}") > 0 for number in range(begin.parties))

    for each in range(20):
        begin, numbers = threading.Barrier(8), count()
        with ThreadPoolExecutor(begin.parties) as pool:
            seen = list(pool.map(opened, [tmp_path / f"marks-{each}"] * begin.parties))
        assert seen == [8] * 8


def test_a_mark_is_not_written_again_where_another_process_wrote_in_between(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks", 1)
    marks.touch("ada", now_ns=NOW)
    before = marks.of("ada")
    with (tmp_path / "marks").open("r+b") as file:
        file.write(bytes(8))
    assert marks.of("ada") == 0
    marks.touch("ada", now_ns=NOW)
    assert marks.of("ada") > before


def test_a_touch_after_a_restart_changes_the_mark_also_where_the_clock_was_set_back(tmp_path: Path) -> None:
    before, after = Marks(tmp_path / "marks"), Marks(tmp_path / "marks")
    before.touch("ada", now_ns=NOW)
    seen = before.of("ada")
    after.touch("ada", now_ns=NOW - 10**9)
    assert after.of("ada") > seen


def test_a_file_stays_from_one_start_to_the_next(tmp_path: Path) -> None:
    first = Marks(tmp_path / "marks")
    first.touch("ada", now_ns=NOW)
    before = first.of("ada")
    first.close()
    assert Marks(tmp_path / "marks").of("ada") == before


def test_a_file_of_another_size_is_made_anew(tmp_path: Path) -> None:
    small = Marks(tmp_path / "marks", 8)
    small.touch("ada", now_ns=NOW)
    large = Marks(tmp_path / "marks", 16)
    assert large.of("ada") == 0
    assert (tmp_path / "marks").stat().st_size == 16 * 8
    small.touch("ada", now_ns=NOW)  # whoever has the old file mapped goes on with it


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    Marks(tmp_path / "service" / "marks")
    assert (tmp_path / "service" / "marks").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("user_id", ["", "\x00", "ada", "\ud800", "漢" * 1000])
def test_any_name_has_a_mark(tmp_path: Path, user_id: str) -> None:
    marks = Marks(tmp_path / "marks")
    marks.touch(user_id, now_ns=NOW)
    assert marks.of(user_id) > NOW


def test_a_user_has_the_same_slot_in_every_version(tmp_path: Path) -> None:
    Marks(tmp_path / "marks").touch("ada", now_ns=NOW)
    words = memoryview((tmp_path / "marks").read_bytes()).cast("Q")
    assert [slot for slot, mark in enumerate(words) if mark] == [1319]
