"""What is finished of a simulation that is not published yet, so that a killed one goes on where it stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from datetime import date
from hashlib import sha256
from pathlib import Path

from ab_platform.simulation.archived.shard import DayFiles
from ab_platform.simulation.plan import Plan
from ab_platform.simulation.sending import Period
from ab_platform.storage.archive import Archive, ArchivedFile, manifest

LAYOUT = 1
"""Raised when the same settings come to make other files, so that finished shards of both are never put together."""


class Staged:
    """The records of finished shards, a small file each, in a folder of the archive.

    Args:
        archive: that their files lie in.
        plan: what is simulated.
        periods: what its users go through.
    """

    def __init__(self, archive: Archive, plan: Plan, periods: tuple[Period, ...]) -> None:
        self._archive = archive
        self._folder = archive.folder / "staging" / f"simulate-{plan.key}"
        spans = [(each.launch.experiment.key, each.launch.starts_at.isoformat()) for each in periods]
        told = json.dumps([LAYOUT, archive.shards, plan.settings(), spans], sort_keys=True)
        self._made_of = sha256(told.encode()).hexdigest()

    def put(self, shard: int, files: DayFiles) -> None:
        """Record a finished shard."""
        days = {day.isoformat(): [asdict(each) for each in of_day] for day, of_day in files.items()}
        content = json.dumps({"made_of": self._made_of, "days": days}, indent=1)
        manifest.replace(self._path(shard), content.encode())

    def get(self, shard: int) -> DayFiles | None:
        """Return what a finished shard is made of; None for one that must be made, as its files may be gone."""
        path = self._path(shard)
        if not path.exists():
            return None
        told = json.loads(path.read_bytes())
        if told["made_of"] != self._made_of:
            return None
        days = {date.fromisoformat(day): tuple(ArchivedFile(**each) for each in of) for day, of in told["days"].items()}
        return days if all(self._stands(file) for files in days.values() for file in files) else None

    def forget(self) -> None:
        """Delete the records, once all is published."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _stands(self, file: ArchivedFile) -> bool:
        path: Path = self._archive.folder / file.path
        return path.exists() and path.stat().st_size == file.size

    def _path(self, shard: int) -> Path:
        return self._folder / f"shard-{shard:02d}.json"
