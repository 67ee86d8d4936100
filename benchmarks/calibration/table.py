"""The table as Markdown: a row a cell, each figure with its bound."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from benchmarks.calibration.cell import BLOCK, Figure

HEAD = """# Calibration

`make calibrate`: {repetitions:,} simulated experiments a row, seeded. Beside each figure stands where chance alone \
leaves it in 99.9 % of runs, if the platform keeps what it promises (binomial; one-sided, "at most" or "at least", \
where a method is conservative by design). Figures that are *shown* promise nothing: they are mistakes on show, or \
facts of the row. `make test` asserts every bound on the first experiments of the same run. Users are those of the \
control + the treatment.
"""


def as_markdown(figures: Sequence[Figure], *, repetitions: int, made_by: str) -> str:
    """Lay out the figures of all cells, in their order.

    Args:
        figures: of whole cells.
        repetitions: of a cell, but for those whose rates are rare.
        made_by: versions and time, for the last line.
    """
    parts = [HEAD.format(repetitions=repetitions)]
    for section, group in groupby(figures, key=lambda figure: figure.cell.section):
        parts += [f"## {section.title}\n", f"{section.text}\n", _section(list(group))]
    return "\n".join([*parts, verdict(figures) + "\n", made_by + "\n"])


def verdict(figures: Sequence[Figure]) -> str:
    """Say how many figures are within their bounds, and name each that is not."""
    promised = [figure for figure in figures if figure.claim.side != "shown"]
    outside = [figure for figure in promised if not figure.within]
    chance = f"of which chance alone would put {0.001 * len(promised):.2g} outside in a run"
    if not outside:
        return f"All {len(promised)} figures with a promise are within their bounds, {chance}."
    named = "; ".join(f"{each.cell.key}: {each.claim.figure} {text(each)}" for each in outside)
    return f"{len(outside)} of {len(promised)} figures with a promise are OUTSIDE their bounds, {chance}: {named}."


def text(figure: Figure) -> str:
    """Return the rate with its bound, both in percent."""
    low, high = figure.bound
    digits = 3 if figure.claim.rate < 0.01 and figure.repetitions > 100 * BLOCK else 2
    rate = f"{100 * figure.rate:.{digits}f} %"
    match figure.claim.side:
        case "both":
            bounded = f"{rate} ({100 * low:.{digits}f} to {100 * high:.{digits}f})"
        case "at most":
            bounded = f"{rate} (at most {100 * high:.{digits}f})"
        case "at least":
            bounded = f"{rate} (at least {100 * low:.{digits}f})"
        case "shown":
            return f"*{rate}, shown*"
    return bounded if figure.within else f"**{bounded} OUTSIDE**"


def _section(figures: Sequence[Figure]) -> str:
    columns = list(dict.fromkeys(figure.claim.figure for figure in figures))
    lines = [
        f"| case | users | {' | '.join(columns)} |",
        f"|---|---|{'---|' * len(columns)}",
    ]
    for cell, group in groupby(figures, key=lambda figure: figure.cell):
        by_column = {figure.claim.figure: text(figure) for figure in group}
        lines.append(f"| {cell.case} | {cell.users} | {' | '.join(by_column.get(each, '–') for each in columns)} |")
    return "\n".join([*lines, ""])
