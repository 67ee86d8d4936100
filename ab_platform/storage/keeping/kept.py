"""What every class of this package stands on: one database."""

from __future__ import annotations

from sqlalchemy import Engine


class Kept:
    """A part of what the platform keeps, on one database.

    Args:
        engine: from `connection.connect`, migrated.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
