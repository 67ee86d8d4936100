"""Alerts: which stand, which were sent, which were cleared."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from ab_platform.alerts import Alert, AlertKey
from ab_platform.storage import alerts
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.keeping.kept import Kept


class Alerted(Kept):
    """Alerts, by experiment, kind and subject."""

    def raise_alerts(self, rows: Iterable[Alert]) -> tuple[Alert, ...]:
        """Store the alerts that do not stand yet and return them; one that was cleared begins anew, not sent."""
        with writing(self.engine) as connection:
            return alerts.raise_alerts(connection, rows)

    def clear_alerts(self, experiment: str, *, keep: Collection[AlertKey], at: datetime) -> tuple[Alert, ...]:
        """Clear the alerts of an experiment that stand, but for those of some keys, and return them."""
        with writing(self.engine) as connection:
            return alerts.clear(connection, experiment, keep=keep, at=at)

    def unsent_alerts(self) -> tuple[Alert, ...]:
        """List the alerts that stand and were not sent, the oldest first."""
        with reading(self.engine) as connection:
            return alerts.unsent(connection)

    def mark_sent(self, rows: Iterable[Alert], *, at: datetime) -> int:
        """Note when alerts were sent; return how many were not noted before.

        One that was cleared and raised anew since it was read stays unsent.
        """
        with writing(self.engine) as connection:
            return alerts.mark_sent(connection, rows, at=at)

    def alerts(self, experiment: str | None = None) -> tuple[Alert, ...]:
        """List the alerts of an experiment, or of all, also those that were cleared; the oldest first."""
        with reading(self.engine) as connection:
            return alerts.every(connection, experiment)
