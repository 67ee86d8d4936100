"""`abp token create`, `list`, `rotate` and `revoke`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer

from ab_platform.access import SCOPES, SECRET_BYTES, Token, mint
from ab_platform.cli.console import AsJson, now, print_json, print_table, say, store

token = typer.Typer(help="The tokens of clients of the online service: who may ask it for what.", no_args_is_help=True)

TokenId = Annotated[str, typer.Argument(metavar="ID", help="The token's id, as `abp token list` shows it.")]


@dataclass(frozen=True)
class Shown:
    """A token as people and machines see it.

    Attributes:
        token_id: 8 hex digits; for people, it opens nothing.
        client: who has it.
        state: `good`, `expired` or `revoked`.
        scopes: what it may ask for.
        experiments: keys it is for; None for every experiment.
        requests_per_second: that the client may send; None for any number.
        created_at: when it was made.
        expires_at: from when on it is refused; None for never.
        revoked_at: when it was revoked; None where it was not.
    """

    token_id: str
    client: str
    state: str
    scopes: tuple[str, ...]
    experiments: tuple[str, ...] | None
    requests_per_second: float | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @staticmethod
    def of(token: Token, *, at: datetime) -> Shown:
        """Show a token as it is at a moment."""
        ended = "expired" if token.revoked_at is None else "revoked"
        return Shown(
            token.token_id,
            token.client,
            "good" if token.valid(at) else ended,
            tuple(each for each in SCOPES if each in token.scopes),
            None if token.experiments is None else tuple(sorted(token.experiments)),
            token.requests_per_second,
            token.created_at,
            token.expires_at,
            token.revoked_at,
        )


@dataclass(frozen=True)
class Made:
    """A new token, with its text, which is shown this once."""

    token: str
    about: Shown


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    token.command()(create)
    token.command("list")(list_tokens)
    token.command()(rotate)
    token.command()(revoke)
    app.add_typer(token, name="token")


def create(
    client: Annotated[str, typer.Argument(help="Who will have it, such as tv-app.")],
    scopes: Annotated[list[str], typer.Option("--scope", help=f"What it may ask for: {', '.join(SCOPES)}.")],
    experiments: Annotated[
        list[str] | None, typer.Option("--experiment", help="Experiment it is for; every one by default.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second that it may send; any number else.")] = None,
    days: Annotated[float | None, typer.Option(help="Days from now on that it is good for; for ever else.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token for a client of the online service; it is printed this once, and kept nowhere.

    Only the token is on standard output, for a shell to take. Scopes are exactly what they say: admin holds no other.

    Example: abp token create tv-app --scope recommend --scope events

    Example: TOKEN=$(abp token create checkout --scope assign --experiment pia-vs-multivae --rate 100 --days 90)
    """
    at = now()
    made, text = mint(
        client,
        scopes,
        at=at,
        secret=secrets.token_bytes(SECRET_BYTES),
        experiments=experiments or None,
        requests_per_second=rate,
        expires_at=None if days is None else at + timedelta(days=days),
    )
    opened = store()
    opened.add_token(made)
    launched = {each.experiment.key for each in opened.experiments()}
    for key in sorted((made.experiments or frozenset()) - launched):
        say(f"'{key}' is not launched yet; the token is for it once it is")
    return _print_made(made, text, at=at, as_json=as_json)


def list_tokens(as_json: AsJson = False) -> None:
    """List the tokens: who has them, what they may ask for, and until when; never the tokens themselves.

    Example: abp token list
    """
    at = now()
    shown = [Shown.of(each, at=at) for each in store().tokens()]
    if as_json:
        return print_json(shown)
    if not shown:
        return say("there is no token yet; make one with `abp token create CLIENT --scope recommend`")
    return print_table(
        None,
        ["id", "client", "state", "scopes", "experiments", "a second", "created", "expires"],
        [
            [
                each.token_id,
                each.client,
                each.state,
                ", ".join(each.scopes),
                "all" if each.experiments is None else ", ".join(each.experiments),
                each.requests_per_second,
                each.created_at,
                each.expires_at,
            ]
            for each in shown
        ],
    )


def rotate(
    token_id: TokenId,
    grace_hours: Annotated[float, typer.Option(min=0.0, help="Hours that the old one is still good for.")] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Give a client a new token that may do the same; the old one stays good for some hours, to change over.

    Example: abp token rotate 3f2a9c01 --grace-hours 1
    """
    at = now()
    grace = timedelta(hours=grace_hours)
    made, text = store().rotate_token(token_id, at=at, grace=grace, secret=secrets.token_bytes(SECRET_BYTES))
    say(f"token {token_id} is good for {grace_hours:g} h more at most")
    return _print_made(made, text, at=at, as_json=as_json)


def revoke(token_id: TokenId) -> None:
    """Refuse a token from now on; services know it within seconds.

    Example: abp token revoke 3f2a9c01
    """
    revoked = store().revoke_token(token_id, at=now())
    say(f"token {token_id} is revoked{'' if revoked else ', as before'}")


def _print_made(made: Token, text: str, *, at: datetime, as_json: bool) -> None:
    end = "never expires" if made.expires_at is None else f"expires {made.expires_at:%F %H:%M} UTC"
    say(f"token {made.token_id} of {made.client} {end}; it is shown this once: keep it where secrets are kept")
    if as_json:
        return print_json(Made(text, Shown.of(made, at=at)))
    return typer.echo(text)
