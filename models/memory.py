"""How much memory is free, and a refusal in advance of what cannot fit: better than being killed half way."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from models.errors import ModelError

_ROOT = Path("/")


@dataclass(frozen=True)
class _Accounting:
    """Where a version of control groups keeps the figures of a group.

    Attributes:
        folder: of all groups, below the root.
        limit: the file with the most bytes the group may use.
        usage: the file with the bytes it uses, those of cached files included.
        cached: the line of `memory.stat` with the bytes that are given back when they are needed.
    """

    folder: str
    limit: str
    usage: str
    cached: str


_VERSION_1 = _Accounting(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
_VERSION_2 = _Accounting("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def available_bytes(root: Path = _ROOT) -> int:
    """Return how many bytes this process may still use: what the machine has free, or less where it is limited.

    The limits are those of the process's control groups, as containers have them. Where the kernel does not say what
    is free, it is all that the machine has.

    Args:
        root: of the file system.
    """
    free = _figures(root / "proc/meminfo").get("MemAvailable:")
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if free is None else free * 1024
    return min([machine, *_left_in_groups(root)])


def require_memory(needed_bytes: int, purpose: str, otherwise: str) -> None:
    """Refuse what needs more memory than is free.

    Args:
        needed_bytes: at the peak.
        purpose: who needs it, and for what, such as `ease over 20,108 items needs`.
        otherwise: what to do instead.

    Raises:
        ModelError: less is free.
    """
    free = available_bytes()
    if needed_bytes > free:
        raise ModelError(
            f"{purpose} {needed_bytes / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; {otherwise}"
        )


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield what each group that the process is in has left, from the innermost out."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        accounting = _VERSION_1 if controllers else _VERSION_2
        # Inside a container the path may be that on the host, not to be seen here; then the outermost group is ours.
        own = PurePosixPath(path.lstrip("/"))
        for group in (own, *own.parents):
            yield from _left(root / accounting.folder / group, accounting)


def _left(group: Path, accounting: _Accounting) -> Iterator[int]:
    limit, usage = (_lines(group / name) for name in (accounting.limit, accounting.usage))
    if limit and usage and limit[0] != "max":
        cached = _figures(group / "memory.stat").get(accounting.cached, 0)
        yield max(int(limit[0]) - int(usage[0]) + cached, 0)


def _figures(path: Path) -> dict[str, int]:
    """Read lines of a name, a whole number and perhaps a unit."""
    return {words[0]: int(words[1]) for words in map(str.split, _lines(path)) if len(words) > 1}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
