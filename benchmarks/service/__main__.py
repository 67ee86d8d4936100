"""Measure the service on SQLite and PostgreSQL, side by side with what it is held against, and write its sections.

    python -m benchmarks.service --output docs/service.md

A measurement on record, in `ABP_HOME`, is made again only with `--fresh`, or where the code changed. `--steady 10`
instead keeps a mixed load up for ten minutes and looks at memory; its section stays in the page.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import TypeAdapter

from ab_platform.settings import from_environment
from benchmarks import records
from benchmarks.service import bulk, measuring, report, steady
from benchmarks.service.found import Assigned, Bulk, Grown, Slates, Steady, Taken
from benchmarks.service.measuring import Sizes
from benchmarks.service.world import ENGINES, Engine, Home, Shape, home

ROOT = Path(__file__).parents[2]
MEASURED = ("ab_platform/api", "ab_platform/service", "ab_platform/storage", "benchmarks/service", "models")
TITLE = "# The online service\n"
SECTION = "service"
STEADY = "service-steady"

SMALL = Sizes(
    rounds=2,
    event_rounds=1,
    seconds=0.3,
    at_once=(1, 10),
    connections=(1, 4),
    event_connections=(1, 4),
    batches=(50,),
    events=200,
    warm_users=20,
    workers=(1,),
)
SMALL_SHAPE = Shape(titles=(200, 400), users=80, history=10, hidden=16, latent=8)
SMALL_BULK = bulk.Sizes(users=20_000, compared=200, rounds=1)


@dataclass(frozen=True)
class Planned:
    """One measurement.

    Attributes:
        name: of it, with its engine where it needs a home.
        engine: of the home; None where it needs none.
        kind: of what it finds.
        measure: makes it.
    """

    name: str
    engine: Engine | None
    kind: Any
    measure: Callable[[Home | None], Any]


def main() -> None:
    """Measure what has not been measured, and write the sections."""
    options = _options()
    folder = from_environment().home / "benchmarks"
    plan = [each for each in planned(options) if options.only is None or options.only in each.name]
    found, seconds = _found(plan, folder, options)
    if options.steady:
        _write(options.output, STEADY, report.steady_section(found["steady"], options.command))
    else:
        _write(options.output, SECTION, report.section(found, options.command, seconds))


def planned(options: argparse.Namespace) -> list[Planned]:
    """List what is measured."""
    sizes = SMALL if options.small else Sizes()
    if options.steady:
        look = 1.0 if options.small else 10.0
        return [
            Planned(
                "steady",
                "sqlite",
                TypeAdapter(Steady),
                lambda home: steady.measure(_there(home), options.steady, look_seconds=look),
            )
        ]
    plan = [
        Planned("bulk", None, TypeAdapter(Bulk), lambda _: bulk.measure(SMALL_BULK if options.small else bulk.Sizes()))
    ]
    return plan + [each for engine in ENGINES for each in _on(engine, sizes)]


def _on(engine: Engine, sizes: Sizes) -> Iterator[Planned]:
    alone = engine == "sqlite"  # warm slates need no database, so one is enough
    measures: dict[str, tuple[Any, Callable[[Home], Any]]] = {
        "assignments": (Assigned, lambda home: measuring.assignments(home, sizes)),
        "slates": (Slates, lambda home: measuring.slates(home, sizes, by_themselves=alone)),
        "events": (Taken, lambda home: measuring.events(home, sizes)),
        "workers": (Grown, lambda home: measuring.growth(home, sizes)),
    }
    for name, (kind, measure) in measures.items():
        yield Planned(f"{name} {engine}", engine, TypeAdapter(list[kind]), measure)  # type: ignore[valid-type, arg-type]


def _write(document: Path, name: str, text: str) -> None:
    if not document.exists():
        document.parent.mkdir(parents=True, exist_ok=True)
        document.write_text(TITLE, encoding="utf-8")
    records.put_section(document, name, text)


def _there(home: Home | None) -> Home:
    assert home is not None, "a measurement with an engine has a home"
    return home


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/service.md"))
    parser.add_argument(
        "--only", metavar="NAME", help="measure what has this in its name, such as slates or postgresql"
    )
    parser.add_argument("--steady", type=float, metavar="MINUTES", help="measure memory under mixed load instead")
    parser.add_argument("--fresh", action="store_true", help="measure again what is done")
    parser.add_argument("--small", action="store_true", help="see whether all runs; the figures say nothing")
    options = parser.parse_args()
    options.command = shlex.join(["python", "-m", "benchmarks.service", *sys.argv[1:]])
    return options


def _found(plan: Sequence[Planned], folder: Path, options: argparse.Namespace) -> tuple[dict[str, Any], float]:
    """Return what each measurement found, and the seconds spent; those that are not on record are made now."""
    path = folder / "service.jsonl"
    done = {} if options.fresh else records.read(path)
    keys = {each.name: _key(each, options) for each in plan}
    for engine in (None, *ENGINES):
        left = [each for each in plan if each.engine == engine and keys[each.name] not in done]
        for name, record in _measured(left, engine, folder, options):
            done[keys[name]] = {"key": keys[name], **record}
            records.append(path, done[keys[name]])
    found = {each.name: each.kind.validate_python(done[keys[each.name]]["found"]) for each in plan}
    return found, sum(done[keys[each.name]]["seconds"] for each in plan)


def _measured(
    plan: Sequence[Planned], engine: Engine | None, folder: Path, options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, object]]]:
    """Make the measurements of one engine, on one home."""
    with ExitStack() as stack:
        made: Home | None = None
        if plan and engine is not None:
            print(f"making a home on {engine}", flush=True)
            shape = SMALL_SHAPE if options.small else Shape()
            made = stack.enter_context(home(engine, shape, at=datetime.now(UTC), folder=folder / "service"))
        for each in plan:
            print(f"measuring {each.name}", flush=True)
            began = perf_counter()
            found = each.kind.dump_python(each.measure(made), mode="json")
            yield each.name, {"found": found, "seconds": perf_counter() - began}


def _key(each: Planned, options: argparse.Namespace) -> str:
    """Return what tells a measurement, and the code behind it, from all others."""
    return f"{each.name}, {'small' if options.small else 'whole'}, steady {options.steady}, {_code()}"


@cache
def _code() -> str:
    """Return a hash of the modules that are measured, and of those that measure."""
    paths = [path for folder in MEASURED for path in sorted((ROOT / folder).rglob("*.py"))]
    digest = sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main()
