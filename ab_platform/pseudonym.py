"""Under which id the platform knows a user: with a key, a keyed hash of the user's own, which leads nobody back.

The door is the one place where ids are hashed: files that are ingested, attributes, and what people and clients ask by
user. All else, assignment too, goes by what came through it, so an id is never hashed twice and all tables agree.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from ab_platform.errors import DataError, PlatformError

LEAST_CHARACTERS = 16
"""Of a key. Ids are few and easily guessed: whoever guesses the key as well knows the users."""

DIGITS = 32
"""Hex digits of a pseudonym: among a billion users, two share one with a chance of about 1 in 10^21."""

_OF_DATA = "+key-"
_NO_USER = "\0"  # no user id has a zero byte


@dataclass(frozen=True)
class Pseudonyms:
    """The ids under which users are known.

    Attributes:
        key: of `ABP_USER_ID_KEY`; None where users are known by their own ids.
    """

    key: str | None = field(repr=False)

    def __post_init__(self) -> None:
        """Check that the key cannot be guessed in no time.

        Raises:
            PlatformError: for a key that is too short.
        """
        if self.key is not None and len(self.key) < LEAST_CHARACTERS:
            raise PlatformError(
                f"ABP_USER_ID_KEY has {len(self.key)} characters; it must have {LEAST_CHARACTERS} or more: "
                'make one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`'
            )

    def of(self, user_id: str) -> str:
        """Return the id under which a user is known: HMAC-SHA256 by the key, its first 32 hex digits."""
        if self.key is None:
            return user_id
        return hmac.digest(self.key.encode(), user_id.encode(), "sha256").hex()[:DIGITS]

    def of_all(self, user_ids: Iterable[str]) -> list[str]:
        """Return the ids of users, in their order; one who comes often costs one hash."""
        if self.key is None:
            return list(user_ids)
        ids = list(user_ids)
        known = {each: self.of(each) for each in set(ids)}
        return [known[each] for each in ids]

    def marked(self, content_hash: str) -> str:
        """Return the hash of content whose users are known by these ids: under another key, it is other content."""
        return content_hash + self._mark

    def require(self, content_hash: str, dataset: str) -> None:
        """Refuse a data set whose users came in under another key, or without one.

        Args:
            content_hash: of the data set, as it was stored.
            dataset: its name.

        Raises:
            DataError: where its users are known by other ids.
        """
        if not self.knows(content_hash):
            keyed = _OF_DATA in content_hash
            now = "not set" if self.key is None else "another one" if keyed else "set"
            raise DataError(
                f"data set '{dataset}' was ingested {'with' if keyed else 'without'} a key of user ids, and "
                f"ABP_USER_ID_KEY is {now} now, so its users would not be found; set it as it was then, or ingest the "
                "data set anew under another name"
            )

    def knows(self, content_hash: str) -> bool:
        """Tell whether the users of a data set are known by these ids."""
        return content_hash.partition(_OF_DATA)[2] == self._mark.removeprefix(_OF_DATA)

    @property
    def _mark(self) -> str:
        """Tell keys apart, in a few digits that are no key."""
        return "" if self.key is None else f"{_OF_DATA}{self.of(_NO_USER)[:8]}"


OWN_IDS = Pseudonyms(None)
"""Users are known by their own ids."""


def digest(user_id: str) -> str:
    """Return the sha256 of a user id, in hex, by which an erased user is known."""
    return hashlib.sha256(user_id.encode()).hexdigest()
