"""Forget a user who asks for it: all that the platform stores of them goes, at once and for good.

What stays, since no user can be read from it:

- results: lifts, looks, sample ratios, which are sums over users; and the counts of a data set, of when it came in.
- trained arms, which learned from everybody together: train them anew where that matters. The user's interactions are
  gone from the data set, so its content is other than before, and arms trained from then on are other artifacts.
- the sha256 of the user id and the moment, so that what is still on its way from before is not taken again.

What the platform does not reach: backups of the database, and files that were ingested. Whoever ingests such a file
anew, or loads attributes from it, brings its users back; take the user out of it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ab_platform.errors import PlatformError
from ab_platform.storage.store import Store


@dataclass(frozen=True)
class Erased:
    """What was deleted.

    Attributes:
        rows: how many of the user's, by table; every table that holds user ids is there.
    """

    rows: Mapping[str, int]


def erase(store: Store, user_id: str, *, at: datetime) -> Erased:
    """Delete every row of a user in one transaction; a repetition changes nothing but the moment.

    Events of the user that happened before the moment are not to be taken any more; those that happen later are: it is
    for the client to send none.

    Args:
        store: holds the rows.
        user_id: the user, as the platform knows them: by the keyed hash where there is a key.
        at: now.

    Raises:
        PlatformError: for an empty user id.
    """
    if not user_id:
        raise PlatformError("the user id is empty; say whom to erase")
    return Erased(store.erase(user_id, at=at))
