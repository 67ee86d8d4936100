"""`abp srm diagnose`."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.conduct import Key
from ab_platform.cli.console import AsJson, bar, out, print_json, print_table, say, store
from ab_platform.cli.results import AsOf

if TYPE_CHECKING:
    from ab_platform.diagnosis import Diagnosis, Dimension

QUIET_SECONDS = 2.0
"""What is done sooner needs no bar."""

srm = typer.Typer(help="The sample ratio: did each arm get the users that it was promised?", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    srm.command()(diagnose)
    app.add_typer(srm, name="srm")


@srm.callback()
def _verbs() -> None:
    """Keep `diagnose` a verb of its own beside those to come."""


def diagnose(
    key: Key,
    as_of: AsOf = None,
    by: Annotated[
        str | None,
        typer.Option(help="Where to look, `,` between: day, surface, user attributes; everywhere by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find why the arms do not have their shares: wrong assignment, or lost logging, and where.

    Every exposed user's hash is computed again and compared with the recorded arm.

    Example: abp srm diagnose pia-vs-multivae --by day,device
    """
    from ab_platform.diagnosis import diagnose as diagnosed

    names = None if by is None else [name.strip() for name in by.split(",") if name.strip()]
    started = monotonic()
    with bar("compute assignments again") as advance:

        def report(done: int) -> None:
            if monotonic() - started > QUIET_SECONDS:
                advance(done, None)

        day = as_of.date() if as_of else None
        found = diagnosed(store(), key, as_of=day, by=names, on_users=report)
    return print_json(found) if as_json else _print(found, wanted=names or ())


def _print(found: Diagnosis, *, wanted: Sequence[str]) -> None:
    out.print(found.conclusion, soft_wrap=True)
    _print_arms(found)
    _print_wrong(found)
    _print_exposure(found)
    _print_dimensions(found, wanted)
    for told in found.left_out:
        say(f"not looked at: {told}")
    out.print(f"\nNext: {found.next_step}", soft_wrap=True)


def _print_arms(found: Diagnosis) -> None:
    print_table(
        f"\n{found.experiment} as of {found.as_of}: {found.users:,} exposed users by arm",
        ["", *found.arms, "p-value", ""],
        [
            ["as recorded", *found.recorded, "", ""],
            *(
                [f"by hash, {each.scope}", *each.counts, _p(each.p_value), "uneven" if each.alarm else ""]
                for each in found.splits
            ),
        ],
    )
    for each in found.splits:
        if each.p_value is None and each.reason:
            out.print(f"{each.scope}: {each.reason}", soft_wrap=True)


def _print_wrong(found: Diagnosis) -> None:
    if found.moved:
        print_table(
            "\nusers who are not where their hash puts them",
            ["recorded", "hash", "users", "first", "last", "such as"],
            [
                [each.recorded, each.hashed, each.users, each.first_seen, each.last_seen, each.examples[0]]
                for each in found.moved
            ],
        )
    if found.mixed_users:
        out.print(f"\n{found.mixed_users:,} users were seen in several arms; no lift counts them", soft_wrap=True)
    if found.places:
        print_table(
            "\nwhere they are more frequent than elsewhere",
            ["where", "users", "wrong", "share"],
            [
                [f"{each.dimension}={each.segment}", each.users, each.wrong, f"{each.wrong / each.users:.1%}"]
                for each in found.places
            ],
        )


def _print_exposure(found: Diagnosis) -> None:
    exposure = found.exposure
    if exposure is None:
        return
    p_value = exposure.reason if exposure.p_value is None else f"p {_p(exposure.p_value)}"
    print_table(
        f"\nthe data set's users whom the hash has in the experiment, and who were exposed ({p_value})",
        ["arm", "assigned", "exposed", "rate"],
        [
            [arm, assigned, exposed, f"{exposed / assigned:.2%}" if assigned else None]
            for arm, assigned, exposed in zip(found.arms, exposure.assigned, exposure.exposed, strict=True)
        ],
    )


def _print_dimensions(found: Diagnosis, wanted: Sequence[str]) -> None:
    print_table(
        "\ndo the segments of a dimension share one split?",
        ["dimension", "segments", "uneven", "p-value", ""],
        [
            [
                each.dimension,
                len(each.segments),
                sum(segment.alarm for segment in each.segments),
                _p(each.p_value),
                "differ" if each.differs else "",
            ]
            for each in found.dimensions
        ],
    )
    for each in found.dimensions:
        if each.reason:
            out.print(f"{each.dimension}: {each.reason}", soft_wrap=True)
    for each in found.dimensions:
        if each.alarm or each.dimension in wanted:
            _print_segments(found, each)


def _print_segments(found: Diagnosis, dimension: Dimension) -> None:
    print_table(
        f"\nby {dimension.dimension}; the arm that is shortest beside the others, and by how many users",
        [dimension.dimension, *found.arms, "short", "by about", "p-value", ""],
        [
            [
                each.segment,
                *each.counts,
                each.short_arm or "",
                "" if each.missing is None else f"{each.missing:,.0f} ± {each.standard_error:,.0f}",
                _p(each.p_value),
                "uneven" if each.alarm else "",
            ]
            for each in dimension.segments
        ],
    )


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"
