"""How figures are laid out in both sections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.arms.found import Measured


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its first column to the left and the figures to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratio(each: Measured, reference: Measured | None) -> str:
    """Return training users a second as a multiple of those of a reference; nothing where there is none."""
    return "" if reference is None else f"{each.users_a_second / reference.users_a_second:.2f}"


def gigabytes(size: float) -> str:
    """Return bytes as GB, of 1e9."""
    return f"{size / 1e9:.2f} GB"


def milliseconds(seconds: float) -> str:
    """Return a short time."""
    return f"{1_000 * seconds:.3g} ms"
