"""Alert: something about an experiment that a person should know, from when it is raised until it is cleared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

AlertKind = Literal["sample_ratio", "guardrail", "end_reached", "no_data"]

AlertKey = tuple[AlertKind, str]
"""Kind and subject: what tells the alerts of one experiment apart."""


@dataclass(frozen=True)
class Alert:
    """One thing that a person should know; there is one of each experiment, kind and subject.

    Attributes:
        experiment: key.
        kind: what it is about.
        subject: what of the experiment, such as `all`, or an arm and a row: `pia home_card.play_duration`.
        as_of: last day (UTC) that counted when it was found.
        message: what was found, what was expected, and the next step.
        raised_at: when it was found first; found again while it stands, it stays as it is.
        sent_at: when it was sent to people; None until then.
        cleared_at: when it was found to hold no more; None while it stands.
    """

    experiment: str
    kind: AlertKind
    subject: str
    as_of: date
    message: str
    raised_at: datetime
    sent_at: datetime | None = None
    cleared_at: datetime | None = None

    @property
    def key(self) -> AlertKey:
        """Return what tells it apart from the others of its experiment."""
        return self.kind, self.subject
