"""Experiments: their launch, what changed in them since, and the buckets that they leave free."""

from __future__ import annotations

from datetime import datetime

from ab_platform.lineage import Change, Launch
from ab_platform.storage import experiments, user_days
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.keeping.kept import Kept


class Launched(Kept):
    """Experiments and their change logs."""

    def launch(self, launch: Launch, *, reason: str | None = None) -> bool:
        """Write a launch; the very same again changes nothing.

        Returns:
            Whether it is new.

        Raises:
            ExperimentError: for a key that is taken, or buckets that a running experiment owns.
            NotFoundError: for an artifact that is not registered.
        """
        with writing(self.engine) as connection:
            return experiments.launch(connection, launch, reason=reason)

    def experiment(self, key: str) -> Launch:
        """Return a launch by its key.

        Raises:
            NotFoundError: with the nearest key.
        """
        with reading(self.engine) as connection:
            return experiments.get(connection, key)

    def experiments(self) -> tuple[Launch, ...]:
        """List the launches, the oldest first."""
        with reading(self.engine) as connection:
            return experiments.every(connection)

    def free_slices(self, layer: str) -> tuple[tuple[int, int], ...]:
        """List the bucket ranges of a layer that no running experiment owns, from the lowest."""
        with reading(self.engine) as connection:
            return experiments.free_slices(connection, layer)

    def ramp(self, key: str, traffic: float, *, at: datetime, reason: str | None = None) -> bool:
        """Change the share of owned users who are in; nobody changes arm.

        Returns:
            Whether it changed.

        Raises:
            ExperimentError: for a stopped experiment, or a traffic outside [0, 1].
            NotFoundError: for an unknown key.
        """
        with writing(self.engine) as connection:
            return experiments.ramp(connection, key, traffic=traffic, at=at, reason=reason)

    def stop(self, key: str, *, at: datetime, reason: str | None = None) -> bool:
        """Stop an experiment: its buckets are free again, and events from then on do not count.

        Returns:
            Whether it was running.

        Raises:
            ExperimentError: for a moment before the launch, or before the planned end where the raw events are gone.
            NotFoundError: for an unknown key.
        """
        with writing(self.engine) as connection:
            stopped = experiments.stop(connection, key, at=at, reason=reason)
            if stopped:
                user_days.reopen(connection, key, since=at)
            return stopped

    def note(self, change: Change) -> None:
        """Add a line to an experiment's change log."""
        with writing(self.engine) as connection:
            experiments.note(connection, change)

    def changes(self, key: str) -> tuple[Change, ...]:
        """List what changed in an experiment, the oldest first."""
        with reading(self.engine) as connection:
            return experiments.changes(connection, key)

    def changes_so_far(self) -> int:
        """Return a number that grows with every launch, ramp, stop and note, of whatever experiment."""
        with reading(self.engine) as connection:
            return experiments.changes_so_far(connection)

    def made_up_experiments(self) -> frozenset[str]:
        """Return the experiments whose visits are not live: replayed or simulated, on their own calendar."""
        with reading(self.engine) as connection:
            return experiments.made_up(connection)
