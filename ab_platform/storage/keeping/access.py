"""Who may ask, and who asked to be forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from ab_platform.access import Token, ending, renewed
from ab_platform.storage import erasing, tokens
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.keeping.kept import Kept


class Access(Kept):
    """Tokens and erasures."""

    def add_token(self, token: Token) -> bool:
        """Store a token; return whether it is new, not the very same that is there.

        Raises:
            AccessError: where another one has its id.
        """
        with writing(self.engine) as connection:
            return tokens.add(connection, token)

    def tokens(self) -> tuple[Token, ...]:
        """List the tokens, also those that let nobody in any more, the oldest first."""
        with reading(self.engine) as connection:
            return tokens.every(connection)

    def rotate_token(self, token_id: str, *, at: datetime, grace: timedelta, secret: bytes) -> tuple[Token, str]:
        """Give a token's client a new one that may do the same; the old one lets it in for a time of grace.

        Repeated with the same secret in that time, it changes nothing.

        Args:
            token_id: of the old one.
            at: now.
            grace: how long the old one is still good, unless it expires before.
            secret: 32 random bytes.

        Returns:
            The new token and its text.

        Raises:
            NotFoundError: for an unknown id.
            AccessError: where the old one is refused already, for a grace below 0, or a secret of another length.
        """
        with writing(self.engine) as connection:
            old = tokens.get(connection, token_id, lock=True)
            new, text = renewed(old, at=at, secret=secret)
            return tokens.hand_over(connection, ending(old, at=at, grace=grace), new), text

    def revoke_token(self, token_id: str, *, at: datetime) -> bool:
        """Refuse a token from a moment on; return whether it was not revoked before.

        Raises:
            NotFoundError: for an unknown id.
        """
        with writing(self.engine) as connection:
            return tokens.revoke(connection, token_id, at=at)

    def erase(self, user_id: str, *, at: datetime) -> Mapping[str, int]:
        """Delete every row of a user, and note when; return how many rows, by table.

        Args:
            user_id: the user, as the platform knows them.
            at: now.
        """
        with writing(self.engine) as connection:
            return erasing.erase(connection, user_id, at=at)

    def erasures(self) -> Mapping[str, datetime]:
        """Return since when each erased user is forgotten, by the sha256 of the user id."""
        with reading(self.engine) as connection:
            return erasing.every(connection)
