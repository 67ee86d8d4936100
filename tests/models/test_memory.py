"""What is free, as made-up kernels tell it."""

import os
from pathlib import Path

import pytest

from models import memory
from models.errors import ModelError
from models.memory import available_bytes, require_memory

MEMINFO = "MemTotal:       32000 kB\nMemFree:         1000 kB\nMemAvailable:   20000 kB\nHugePages_Total:       0\n"
FREE = 20_000 * 1024


def kernel(root: Path, **files: str) -> Path:
    """Write files below a root, `__` in their names for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def group_2(root: Path, folder: str, *, limit: str, usage: int, cached: int = 0) -> None:
    """Write the files of a group, as version 2 has them."""
    texts = {
        "memory.max": limit,
        "memory.current": f"{usage}\n",
        "memory.stat": f"anon 5\ninactive_file {cached}\nactive_file 7\n",
    }
    for name, text in texts.items():
        path = root / "sys/fs/cgroup" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_without_limits_it_is_what_the_machine_has_free(tmp_path: Path) -> None:
    assert available_bytes(kernel(tmp_path, proc__meminfo=MEMINFO)) == FREE


def test_a_container_has_what_its_limit_leaves_and_what_it_caches(tmp_path: Path) -> None:
    kernel(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/\n")
    group_2(tmp_path, ".", limit="9000000\n", usage=4_000_000, cached=1_500_000)
    assert available_bytes(tmp_path) == 6_500_000


def test_the_tightest_of_the_groups_around_it_counts(tmp_path: Path) -> None:
    kernel(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/user/job\n")
    group_2(tmp_path, "user/job", limit="max\n", usage=1_000)
    group_2(tmp_path, "user", limit="5000\n", usage=2_000)
    group_2(tmp_path, ".", limit="8000\n", usage=2_500)
    assert available_bytes(tmp_path) == 3_000


def test_a_group_above_its_limit_has_nothing(tmp_path: Path) -> None:
    kernel(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/\n")
    group_2(tmp_path, ".", limit="1000\n", usage=2_000)
    assert available_bytes(tmp_path) == 0


def test_a_limit_above_what_is_free_gives_no_more(tmp_path: Path) -> None:
    kernel(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/\n")
    group_2(tmp_path, ".", limit=f"{10 * FREE}\n", usage=0)
    assert available_bytes(tmp_path) == FREE


def test_version_1_is_read_where_its_path_is_only_known_to_the_host(tmp_path: Path) -> None:
    kernel(
        tmp_path,
        proc__meminfo=MEMINFO,
        proc__self__cgroup="7:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n",
    )
    group = tmp_path / "sys/fs/cgroup/memory"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("7000\n")
    (group / "memory.usage_in_bytes").write_text("5000\n")
    (group / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 400\n")
    assert available_bytes(tmp_path) == 2_400


def test_a_kernel_that_does_not_say_is_taken_to_have_all_free(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_this_machine_has_some_memory_and_no_more_than_all() -> None:
    assert 0 < available_bytes() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_what_does_not_fit_is_refused_and_what_just_fits_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 12_300_000_000)
    require_memory(12_300_000_000, "it needs", "do without")
    with pytest.raises(ModelError) as error:
        require_memory(160_000_000_000, "ease needs", "choose plrec")
    assert str(error.value) == "ease needs 160.0 GB of memory and 12.3 GB are free; choose plrec"
