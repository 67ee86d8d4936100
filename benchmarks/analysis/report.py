"""The measured section: what is asked and whether it holds, then every side at every size, and the truth."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from statistics import median

import duckdb
import numpy as np

from ab_platform.metrics import SURFACE_LABELS, metric
from benchmarks import records
from benchmarks.analysis.agreeing import MOST_APART, Agreement, agreements, reference
from benchmarks.analysis.contenders import contender
from benchmarks.analysis.many import Many
from benchmarks.analysis.measuring import Measured
from benchmarks.analysis.truth import Known, known
from benchmarks.arms.rates import processor
from benchmarks.arms.tables import table

FLOOR, ARCHIVE, QUERY, TOTALS, INCREMENTAL = "floor", "archive", "query", "totals", "incremental"
PAPER_USERS = 25_000_000
MOST_SECONDS, MOST_MEMORY, MOST_OF_FLOOR, MOST_OF_FULL, MOST_OF_ONE = 60.0, 4e9, 2.0, 0.1, 3.0

Bar = tuple[str, str, bool | None]
"""What is asked, the figure that answers it, and whether it holds; None where too few users were drawn to say."""


def section(found: Sequence[Measured], *, command: str, seconds: float, picture: str) -> str:
    """Return the section of what was measured.

    Args:
        found: every side at every size.
        command: that made it.
        seconds: that all of it took.
        picture: path of the picture from the document.
    """
    parts = [
        _opening(found, command, seconds),
        _bars(bars(found)),
        _figures(found),
        f"![Seconds over users]({picture})",
    ]
    return "\n\n".join(part for part in [*parts, _growth(found), _sides(found), _agreed(found), _truth(found)] if part)


def many_section(found: Many, *, command: str) -> str:
    """Return the section of many experiments."""
    seconds = [median(each.seconds for each in rounds) for rounds in (found.many, found.one)]
    cpu = [median(each.cpu for each in rounds) for rounds in (found.many, found.one)]
    row = (
        f"{found.experiments} experiments within {MOST_OF_ONE:g} times the time of one with as many rows in all",
        f"{found.ratio:.2f} times",
        found.ratio <= MOST_OF_ONE,
    )
    told = (
        f"## Many experiments\n\n    {command}\n\n{found.users:,} users, the same days' files: divided among "
        f"{found.experiments} experiments that are analysed together ({seconds[0]:.1f} s), and all in one "
        f"({seconds[1]:.1f} s). Over the archive, medians of {len(found.one)} rounds in turn; processor seconds "
        f"are {cpu[0]:.1f} and {cpu[1]:.1f}, {cpu[0] / cpu[1]:.2f} times."
    )
    return f"{told}\n\n{_bars([row])}"


def bars(found: Sequence[Measured]) -> list[Bar]:
    """Return what is asked, of the largest size at which ours was asked over the archive, and whether all agree."""
    rows = list(_speed(found))
    compared = agreements(found)
    ours = [each for each in compared if contender(each.contender).ours]
    peers = [each for each in compared if not contender(each.contender).ours]
    if ours:
        same = sum(each.same for each in ours)
        rows.append(("every engine gives the same digits", f"{same} of {len(ours)} comparisons", same == len(ours)))
    if peers:
        apart = max(each.plain_apart for each in peers)
        asked = f"the peers' lifts without adjustment within {MOST_APART:g} of ours"
        rows.append((asked, f"{apart:.1g} at most", all(each.holds for each in peers)))
    if told := _known(found):
        inside = sum(each.inside for each in told)
        rows.append(("the true lifts lie in all intervals", f"{inside} of {len(told)}", inside == len(told)))
    return rows


def exponent(found: Sequence[Measured], name: str) -> float | None:
    """Return how seconds grow with users, as the exponent that fits best on logarithmic axes; None below two sizes."""
    own = [each for each in found if each.contender == name and each.rounds]
    if len(own) < 2:
        return None
    users, seconds = np.log([each.users for each in own]), np.log([each.seconds for each in own])
    return float(np.polyfit(users, seconds, 1)[0])


def _opening(found: Sequence[Measured], command: str, seconds: float) -> str:
    return (
        f"## As measured\n\n    {command}\n\n{processor()}, {os.cpu_count()} cores, {records.versions()}, DuckDB "
        f"{duckdb.__version__}. The six rows of Table 2 with CUPED on the same columns of the week before, of a world "
        "whose true lifts are the paper's. Users are drawn with the simulation's distributions, their days written to "
        "an archive, and every side reads those files, or a database loaded from them. Each question is asked in a "
        "fresh process, once what it needs is imported and opened; seconds are from then until the answer stands, the "
        "median of the rounds. Memory is the most that was resident of the process, its children and its server, "
        "with what is imported. Two threads work on every side, and DuckDB has no limit of memory but on ours. "
        f"All of it took {seconds / 60:.0f} minutes."
    )


def _speed(found: Sequence[Measured]) -> Iterator[Bar]:
    ours = [each for each in found if each.contender == ARCHIVE and each.rounds]
    if not ours:
        return
    most = ours[-1]
    enough = most.users >= PAPER_USERS
    of = f"{most.users:,} users"
    quick, small = most.seconds < MOST_SECONDS, most.memory < MOST_MEMORY
    yield f"{of} in under {MOST_SECONDS:g} s, over the archive", f"{most.seconds:.1f} s", quick if enough else None
    query = _at(found, QUERY, most.users)
    if query is not None:
        quick = query.seconds < MOST_SECONDS
        asked = f"{of} in under {MOST_SECONDS:g} s, as a query of DuckDB"
        yield asked, f"{query.seconds:.1f} s", quick if enough else None
    yield f"{of} in under {MOST_MEMORY / 1e9:g} GB", f"{most.memory / 1e9:.2f} GB", small if enough else None
    floor = _at(found, FLOOR, most.users)
    if floor is not None:
        ratio = most.seconds / floor.seconds
        asked = f"{of} within {MOST_OF_FLOOR:g} times a bare scan of the same columns"
        yield asked, f"{ratio:.2f} times", ratio <= MOST_OF_FLOOR if enough else None
        totals = _at(found, TOTALS, most.users)
        if totals is not None:
            share = totals.seconds / floor.seconds
            asked = f"{of} from running totals within {MOST_OF_FLOOR:g} times that scan"
            yield asked, f"{share:.2f} times", share <= MOST_OF_FLOOR if enough else None
    increment = _at(found, INCREMENTAL, most.users)
    if increment is not None:
        share = increment.seconds / most.seconds
        asked = f"a day's increment within {MOST_OF_FULL:.0%} of the full run over {of}"
        yield asked, f"{share:.1%}", share <= MOST_OF_FULL if enough else None


def _bars(rows: Sequence[Bar]) -> str:
    words = {True: "holds", False: "**does not hold**", None: f"asked of {PAPER_USERS:,} users"}
    return table(("asked", "found", ""), [(asked, figure, words[holds]) for asked, figure, holds in rows])


def _figures(found: Sequence[Measured]) -> str:
    columns = ("users", "side", "seconds", "of the bare scan", "processor seconds", "memory")
    return "\n\n".join(["### Every side", table(columns, [_figure(found, each) for each in found])])


def _figure(found: Sequence[Measured], each: Measured) -> tuple[str, ...]:
    name = contender(each.contender).name
    if each.why is not None:
        return f"{each.users:,}", name, "—", "", "", f"not asked: {each.why}"
    floor = _at(found, FLOOR, each.users)
    ratio = "" if floor is None else f"{each.seconds / floor.seconds:.1f}"
    return (
        f"{each.users:,}",
        name,
        f"{each.seconds:.2f}",
        ratio,
        f"{each.cpu:.1f}",
        f"{each.memory / 1e9:.2f} GB",
    )


def _growth(found: Sequence[Measured]) -> str:
    names = list(dict.fromkeys(each.contender for each in found))
    rows = [(contender(name).name, f"{grown:.2f}") for name in names if (grown := exponent(found, name)) is not None]
    if not rows:
        return ""
    note = "The exponent of seconds in users that fits best: 1 is as many times the time as users. Below it, what a "
    return "\n\n".join(["### Growth", table(("side", "exponent"), rows), f"{note}question costs of any size shows."])


def _sides(found: Sequence[Measured]) -> str:
    sides = [contender(name) for name in dict.fromkeys(each.contender for each in found)]
    return "\n".join(["### What each does", "", *(f"- **{side.name}.** {side.told}" for side in sides)])


def _agreed(found: Sequence[Measured]) -> str:
    rows = [_agreement(each) for each in agreements(found)]
    if not rows:
        return ""
    columns = ("users", "side", "every digit", "plain lifts apart", "adjusted lifts apart", "width of intervals")
    note = (
        "Plain lifts, without CUPED, have one definition: how far they are apart is a share of the lift. Adjusted ones "
        "differ by what they adjust for, in half-widths of our interval, as do the intervals' widths, over ours. Ours "
        "has a second covariate, whether a user was there before at all, and Fieller's interval; tea-tasting has the "
        "one covariate and an interval on the logarithm's scale; GrowthBook divides the adjusted difference by the "
        "control's mean as it is before the adjustment, and adjusts no ratio. Both take the adjusted means of the arms "
        "for independent, which they are not: the same theta moves both."
    )
    return "\n\n".join(["### What each found", table(columns, rows), note])


def _agreement(each: Agreement) -> tuple[str, ...]:
    return (
        f"{each.users:,}",
        contender(each.contender).name,
        "the same" if each.same else "",
        f"{each.plain_apart:.1g}",
        f"{each.adjusted_apart:.2g}",
        f"{each.widths[0]:.2f} to {each.widths[1]:.2f}",
    )


def _truth(found: Sequence[Measured]) -> str:
    rows = [_true(each) for each in _known(found)]
    if not rows:
        return ""
    columns = (
        "row",
        "users",
        "true lift",
        "found",
        "95 % interval",
        "",
        "half-width",
        "predicted",
        "found / predicted",
    )
    note = (
        "At the largest size. The half-width is predicted as `abp plan` does, by `ab_platform.statistics.power`, from "
        "the users that are there and the variation and saved variance that the smallest size showed; times 1 + lift, "
        "since a plan takes both arms for alike and here the treatment's spread grows with its mean."
    )
    return "\n\n".join(["### The truth", table(columns, rows), note])


def _known(found: Sequence[Measured]) -> list[Known]:
    sizes = sorted({each.users for each in found if each.rows and contender(each.contender).ours})
    if not sizes:
        return []
    least, most = (reference(found, sizes[place]) for place in (0, -1))
    assert least is not None
    assert most is not None
    return known(most.rows, least.rows)


def _true(each: Known) -> tuple[str, ...]:
    row = each.row
    return (
        f"{SURFACE_LABELS[row.surface]}: {metric(row.metric).label}",  # type: ignore[index]
        f"{row.users:,}",
        f"{each.true:+.2%}",
        f"{row.lift:+.2%}",
        f"{row.low:+.2%} to {row.high:+.2%}",
        "inside" if each.inside else "**outside**",
        f"{row.half_width:.3%}",
        f"{each.predicted:.3%}",
        f"{row.half_width / each.predicted:.2f}",
    )


def _at(found: Sequence[Measured], name: str, users: int) -> Measured | None:
    asked = (each for each in found if (each.contender, each.users) == (name, users) and each.rounds)
    return next(asked, None)
