"""How an experiment came to its readout: what a full report shows beside the table."""

from __future__ import annotations

from dataclasses import dataclass

from ab_platform.lineage import Change, Launch
from ab_platform.results import LiftView


@dataclass(frozen=True)
class Course:
    """How an experiment came to its readout.

    Attributes:
        launch: the experiment and its state.
        changes: what was done to it, the oldest first.
        history: its views against the control, of all days.
    """

    launch: Launch
    changes: tuple[Change, ...]
    history: tuple[LiftView, ...]
