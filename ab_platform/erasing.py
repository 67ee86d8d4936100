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
from dataclasses import dataclass, field
from datetime import datetime

from ab_platform.errors import PlatformError
from ab_platform.storage.archive import Archive, TableName
from ab_platform.storage.archive.forgetting import forget
from ab_platform.storage.archive.locking import alone
from ab_platform.storage.store import Store

WAIT_SECONDS = 600.0
"""How long an erasure waits for whoever writes the archive."""


@dataclass(frozen=True)
class Erased:
    """What was deleted.

    Attributes:
        rows: how many of the user's, by table; every table that holds user ids is there.
        archived: how many in the archive, by table; none without an archive.
    """

    rows: Mapping[str, int]
    archived: Mapping[TableName, int] = field(default_factory=dict)


def erase(store: Store, user_id: str, *, at: datetime, archive: Archive | None = None) -> Erased:
    """Delete every row of a user in one transaction, then from the archive; a repetition changes only the moment.

    Events of the user that happened before the moment are not to be taken any more; those that happen later are: it is
    for the client to send none.

    Args:
        store: holds the rows.
        user_id: the user, as the platform knows them: by the keyed hash where there is a key.
        at: now.
        archive: of the days; the user's rows leave every one of them.

    Raises:
        PlatformError: for an empty user id.
        StoreError: for a damaged file of the archive; the user's rows are gone from all others then.
    """
    if not user_id:
        raise PlatformError("the user id is empty; say whom to erase")
    rows = store.erase(user_id, at=at)
    if archive is None:
        return Erased(rows)
    # Afterwards, and alone: what is being archived now may have read the rows before they were deleted.
    with alone(archive.folder, wait_seconds=WAIT_SECONDS):
        return Erased(rows, forget(archive, user_id, at=at))
