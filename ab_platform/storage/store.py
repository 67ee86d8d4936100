"""The store: every operational statement, each method one transaction that writes all or nothing.

What a method does when it is repeated is nothing: rows are inserted once by their natural key, a launch or a stop that
stands is left as it is. The methods lie in `keeping`, the statements themselves beside this module, both by subject.
"""

from __future__ import annotations

from ab_platform.storage import migrating
from ab_platform.storage.assignments import Placed, Written
from ab_platform.storage.connection import connect
from ab_platform.storage.datasets import DatasetWriter, InteractionColumns
from ab_platform.storage.day_counts import DayCount
from ab_platform.storage.deleting import DroppedDay, RawEvents
from ab_platform.storage.events import OutcomeColumns, Recorded, Status
from ab_platform.storage.keeping.access import Access
from ab_platform.storage.keeping.alerted import Alerted
from ab_platform.storage.keeping.archived import Archived
from ab_platform.storage.keeping.assigned import Assigned
from ab_platform.storage.keeping.computed import Computed
from ab_platform.storage.keeping.counted import Counted
from ab_platform.storage.keeping.given_up import EVENTS_AT_ONCE, GivenUp
from ab_platform.storage.keeping.happened import Happened
from ab_platform.storage.keeping.ingested import Ingested
from ab_platform.storage.keeping.launched import Launched
from ab_platform.storage.keeping.observed import Observed
from ab_platform.storage.keeping.one_user import OneUser
from ab_platform.storage.keeping.trained import Trained
from ab_platform.storage.per_user import KNOWN_BEFORE, PerUser
from ab_platform.storage.per_user_statements import AgeCell, Cell, ExposedOn, FirstExposed, UserValues
from ab_platform.storage.population import Population
from ab_platform.storage.recounting import Compared, Users
from ab_platform.storage.results import Stored
from ab_platform.storage.split_statements import ExposedUsers, KnownUsers
from ab_platform.storage.title_groups import TitleGroups
from ab_platform.storage.user_days import RolledUp
from ab_platform.storage.user_story import Whose
from ab_platform.storage.wanted import Wanted

__all__ = [
    "EVENTS_AT_ONCE",
    "KNOWN_BEFORE",
    "AgeCell",
    "Cell",
    "Compared",
    "DatasetWriter",
    "DayCount",
    "DroppedDay",
    "ExposedOn",
    "ExposedUsers",
    "FirstExposed",
    "InteractionColumns",
    "KnownUsers",
    "OutcomeColumns",
    "PerUser",
    "Placed",
    "Population",
    "RawEvents",
    "Recorded",
    "RolledUp",
    "Status",
    "Store",
    "Stored",
    "TitleGroups",
    "UserValues",
    "Users",
    "Wanted",
    "Whose",
    "Written",
    "open_store",
]


def open_store(
    url: str, *, migrate: bool, timeout_seconds: float | None = None, connections: int = 5, read_only: bool = False
) -> Store:
    """Open the store at an address.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.
        migrate: bring the tables up to date first; else only check that they are.
        timeout_seconds: the longest wait for a connection, a lock or a statement, each; None for patience.
        connections: open at once, at most.
        read_only: let the database refuse every write.

    Raises:
        StoreAwayError: when the database does not answer, or not in time.
        StoreError: when it is not migrated and `migrate` is false, or holds something else.
    """
    engine = connect(url, timeout_seconds=timeout_seconds, connections=connections, read_only=read_only)
    if migrate:
        migrating.migrate(engine)
    else:
        migrating.check_migrated(engine)
    return Store(engine)


def unchecked_store(url: str, *, timeout_seconds: float, connections: int) -> Store:
    """Make a store whose database may be away just now; nothing is sent to it yet.

    Args:
        url: as in `open_store`.
        timeout_seconds: that a statement, or a wait for a lock, may take.
        connections: at most, to PostgreSQL.

    Raises:
        StoreError: for an address that cannot be read.
    """
    return Store(connect(url, timeout_seconds=timeout_seconds, connections=connections))


class Store(
    Ingested,
    Trained,
    Launched,
    Happened,
    Counted,
    Archived,
    GivenUp,
    Access,
    Assigned,
    Alerted,
    Observed,
    OneUser,
    Computed,
):
    """What the platform keeps, on one database.

    Args:
        engine: from `connection.connect`, migrated.
    """

    @property
    def url(self) -> str:
        """Return the address, with its password: for another process of the platform, never for a message."""
        return self.engine.url.render_as_string(hide_password=False)

    @property
    def writes_side_by_side(self) -> bool:
        """Tell whether several transactions can write at once; to a SQLite file only one can."""
        return self.engine.dialect.name != "sqlite"

    def close(self) -> None:
        """Let go of the database's connections."""
        self.engine.dispose()
