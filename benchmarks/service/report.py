"""The measured sections: what is asked and whether it holds, then ratios, and the figures behind them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks import records
from benchmarks.arms.rates import processor
from benchmarks.arms.tables import table
from benchmarks.service.found import Assigned, Bulk, Grown, Ratio, Slates, Steady, Taken
from benchmarks.service.steady import ASSIGNMENTS, BATCH, BATCHES, SLATES
from benchmarks.service.world import ENGINES

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
ASSIGNMENTS_ASKED, EVENTS_ASKED, BULK_SECONDS, SDK_ASKED, FLAT = 0.8, 0.6, 10.0, 10.0, 0.05
MINUTE = 60.0


def section(found: Mapping[str, Any], command: str, seconds: float) -> str:
    """Return the whole section of what was measured.

    Args:
        found: by name in the plan; what was left out is absent.
        command: that made it.
        seconds: spent.
    """
    parts = [_opening(command, seconds), _bars(found)]
    parts += [_assignments(found), _slates(found), _events(found), _growth(found), _memory(found), _bulk(found)]
    return "\n\n".join(part for part in parts if part)


def steady_section(found: Steady, command: str) -> str:
    """Return the section of memory under mixed load."""
    first, last = first_and_last(found)
    grown = last / first - 1.0
    step = max(1, len(found.seconds) // 12)
    looks = list(zip(found.seconds, found.memory, strict=True))[::step]
    rows = [(f"{at / MINUTE:.1f} min", _megabytes(memory)) for at, memory in looks]
    text = (
        f"## Memory over {found.minutes:g} minutes of mixed load\n\n    {command}\n\n"
        f"Two workers, {found.requests:,} requests, {found.per_second:.0f} a second: {ASSIGNMENTS} assignments, "
        f"{SLATES} slates and {BATCHES} batches of {BATCH} events. 99 of 100 requests took less than "
        f"{found.p99:.0f} ms; popularity served {found.by_popularity:,} slates. All processes together (PSS) held "
        f"{_megabytes(first)} in the first minute and {_megabytes(last)} in the last, {grown:+.1%}: "
        f"{'flat, within' if abs(grown) <= FLAT else '**not** within'} {FLAT:.0%}."
    )
    return f"{text}\n\n{table(('after', 'memory'), rows)}"


def first_and_last(found: Steady) -> tuple[float, float]:
    """Return the mean memory of the first minute and of the last; of a shorter load, of its first and last third."""
    end = found.seconds[-1]
    span = min(MINUTE, end / 3)
    looks = list(zip(found.seconds, found.memory, strict=True))
    return fmean(m for at, m in looks if at <= span), fmean(m for at, m in looks if at >= end - span)


def _opening(command: str, seconds: float) -> str:
    return (
        f"## As measured\n\n    {command}\n\n{processor()}, {os.cpu_count()} cores, {records.versions()}. Everything "
        "runs "
        "on one machine: the driver that sends, the service, and PostgreSQL where it is used, share the cores. Sides "
        "that are compared take turns, so that a drift of the machine hits both; a ratio is the median over rounds, "
        "with "
        "the lowest and the highest in brackets. Both web sides run under uvicorn with uvloop and httptools, and the "
        f"service asks for a token. All of it took {seconds / MINUTE:.0f} minutes."
    )


def _bars(found: Mapping[str, Any]) -> str:
    rows = [(asked, figure, "holds" if holds else "**does not hold**") for asked, figure, holds in bars(found)]
    return table(("asked", "found", ""), rows) if rows else ""


def bars(found: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Return what is asked, the figure that answers it, and whether it holds, of all that was measured."""
    rows: list[tuple[str, str, bool]] = []
    for engine in ENGINES:
        for each in _of(found, "assignments", engine):
            if each.at_once == 1:
                asked = f"assignments at {ASSIGNMENTS_ASKED:.0%} of a handler that does nothing, {NAMES[engine]}"
                rows.append((asked, f"{each.ratio.median:.0%}", each.ratio.median >= ASSIGNMENTS_ASKED))
        if taken := _of(found, "events", engine):
            least = min(each.ratio.median for each in taken)
            asked = f"events at {EVENTS_ASKED:.0%} of the store without the service in every case, {NAMES[engine]}"
            rows.append((asked, f"at least {least:.0%}", least >= EVENTS_ASKED))
    if (bulk := found.get("bulk")) is not None:
        asked = f"{bulk.users:,} users assigned within {BULK_SECONDS:.0f} s on two cores"
        rows.append((asked, f"{bulk.two:.1f} s", bulk.two < BULK_SECONDS))
        asked = f"all at once {SDK_ASKED:.0f} times as fast as GrowthBook's SDK"
        rows.append((asked, f"{bulk.all_at_once.median:.0f} times", bulk.all_at_once.median >= SDK_ASKED))
        rows.append(
            ("the same arms as GrowthBook's SDK", f"{bulk.different} of {bulk.compared:,} differ", not bulk.different)
        )
    return rows


def _assignments(found: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{NAMES[engine]}, {each.at_once} a request",
            _percent(each.ratio),
            "" if each.ratio.busy is None else f"{each.ratio.busy:.0%}",
            f"{each.ratio.ours * each.at_once:,.0f}",
            f"{each.ratio.ours:,.0f}",
            f"{each.ratio.other:,.0f}",
            f"{each.p50:.1f} / {each.p99:.1f} ms",
            f"{each.driver:.0%}",
        )
        for engine in ENGINES
        for each in _of(found, "assignments", engine)
    ]
    if not rows:
        return ""
    columns = ("users", "of the bare handler", "by processor time", "users/s", "requests/s", "bare", "p50 / p99")
    note = (
        "One worker, 16 connections. The bare handler is a FastAPI route that returns an empty object: it reads no "
        "body, "
        "knows no token and writes no id. By processor time, the requests of a second that the serving process really "
        "ran are compared, which other work on the machine disturbs less. The driver's share is of one core."
    )
    return "\n\n".join(["### Assignments", table((*columns, "driver"), rows), note])


def _slates(found: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{each.titles:,}",
            f"{NAMES[engine]}, {each.histories}",
            str(each.connections),
            "" if each.together else "no",
            f"{each.per_second:,.0f}",
            f"{each.p50:.1f} ms",
            f"{each.p99:.1f} ms",
            f"{each.by_popularity:,} of {each.asked:,}",
        )
        for engine in ENGINES
        for each in _of(found, "slates", engine)
    ]
    if not rows:
        return ""
    columns = ("titles", "histories", "connections", "micro-batching", "slates/s", "p50", "p99", "by popularity")
    note = (
        "One worker, ten titles a slate, both arms Multi-VAE with 600 hidden and 200 latent units, histories of "
        "about 100 "
        "titles. By popularity are those that were not done within the deadline of 100 ms."
    )
    return "\n\n".join(["### Slates", table(columns, rows), note])


def _events(found: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{NAMES[engine]}, {each.size}",
            str(each.connections),
            _percent(each.ratio),
            f"{each.ratio.ours:,.0f}",
            f"{each.ratio.other:,.0f}",
            f"{each.p99:.0f} ms",
        )
        for engine in ENGINES
        for each in _of(found, "events", engine)
    ]
    if not rows:
        return ""
    columns = (
        "events of a batch",
        "connections",
        "of the store alone",
        "events/s",
        "the store alone",
        "p99 of a batch",
    )
    note = (
        "Impressions, every id new, acknowledged once they are committed. The store alone is `Store.record_each` on "
        "the "
        "same batches, decoded beforehand, from as many threads as there are connections."
    )
    return "\n\n".join(["### Events", table(columns, rows), note])


def _growth(found: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{NAMES[engine]}, {each.workers}",
            f"{each.assignments:,.0f}",
            f"{each.slates:,.0f}",
            f"{each.events:,.0f}",
            f"{each.driver:.0%}",
        )
        for engine in ENGINES
        for each in _of(found, "workers", engine)
    ]
    if not rows:
        return ""
    columns = ("workers", "assignments/s", "slates/s, largest catalogue", "events/s, batches of 50", "driver")
    note = (
        f"16 connections. On {os.cpu_count()} cores the driver takes its share, at most as much of one core as shown."
    )
    return "\n\n".join(["### As workers are added", table(columns, rows), note])


def _memory(found: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{NAMES[engine]}, {each.workers}",
            *(_processes(each.workers, memory) for memory in (each.memory, each.memory_after)),
        )
        for engine in ENGINES
        for each in _of(found, "workers", engine)
    ]
    if not rows:
        return ""
    note = "Proportional set size of each process, the arms of both catalogues loaded in every worker."
    return "\n\n".join(["### Memory", table(("workers", "after the start", "after the load"), rows), note])


def _processes(workers: int, memory: Sequence[int]) -> str:
    each = " + ".join(_megabytes(size) for size in memory[-workers:])
    return each if len(memory) == workers else f"{_megabytes(memory[0])} supervisor + {each}"


def _bulk(found: Mapping[str, Any]) -> str:
    bulk: Bulk | None = found.get("bulk")
    if bulk is None:
        return ""
    rows = [
        ("one by one", _times(bulk.single), f"{bulk.single.ours:,.0f}", f"{bulk.single.other:,.0f}"),
        ("all at once", _times(bulk.all_at_once), f"{bulk.all_at_once.ours:,.0f}", f"{bulk.all_at_once.other:,.0f}"),
    ]
    note = (
        f"{bulk.users:,} distinct ids take {bulk.one:.1f} s in one process and {bulk.two:.1f} s in two, the making "
        "of the "
        f"ids left out. GrowthBook's SDK is version {bulk.version}, in the same thread, with the same salts, layer "
        "(its "
        f"filter) and arms (its ranges); of {bulk.compared:,} users it gives {bulk.compared - bulk.different:,} the "
        "same arm."
    )
    columns = ("assignment without the service", "GrowthBook's SDK = 1", "users/s", "GrowthBook's SDK")
    return "\n\n".join(["### Assignment in bulk", table(columns, rows), note])


def _of(found: Mapping[str, Any], name: str, engine: str) -> Sequence[Any]:
    measured: Sequence[Assigned | Slates | Taken | Grown] = found.get(f"{name} {engine}", ())
    return measured


def _percent(ratio: Ratio) -> str:
    low, high = ratio.spread
    return f"{ratio.median:.0%} ({low:.0%} to {high:.0%})"


def _times(ratio: Ratio) -> str:
    low, high = ratio.spread
    return f"{ratio.median:.1f} ({low:.1f} to {high:.1f})"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"
