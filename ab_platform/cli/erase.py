"""`abp erase`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.console import AsJson, archive_in_use, now, print_json, print_table, pseudonyms, say, store

if TYPE_CHECKING:
    from ab_platform.pseudonym import Pseudonyms
    from ab_platform.storage.store import Store


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(erase)


def erase(
    user: Annotated[str, typer.Argument(help="The user's own id, also with ABP_USER_ID_KEY set.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete every row of a user, for good, also from the archive; what they did before now is not taken again.

    Results, trained arms, backups and the files that were ingested stay as they are.

    Example: abp erase 42
    """
    from ab_platform import erasing

    opened, known = store(), pseudonyms()
    if not yes:
        typer.confirm(f"Delete every row of user {user}, for good?", abort=True, err=True)
    done = erasing.erase(opened, known.of(user), at=now(), archive=archive_in_use())
    _say_unreached(opened, known)
    if as_json:
        return print_json(done)
    rows = [*done.rows.items(), *((f"{table} in the archive", count) for table, count in done.archived.items())]
    deleted = sum(count for _, count in rows)
    print_table(f"{deleted:,} rows of user {user} were deleted", ["table", "rows"], rows)
    return None if deleted else say("there was no row of the user: it was done before, or the id is another")


def _say_unreached(opened: Store, known: Pseudonyms) -> None:
    """Warn of data sets where the user, if there, has another id."""
    for each in opened.datasets():
        if not known.knows(each.content_hash):
            say(
                f"data set '{each.dataset}' was ingested under another ABP_USER_ID_KEY, or none: the user is known by "
                "another id there; run it again with the key of then"
            )
