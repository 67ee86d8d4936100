"""Addresses and paths from the environment; read by entry points only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Where the platform keeps its things.

    Attributes:
        home: folder of the database, artifacts and checkpoints (`ABP_HOME`, default `.abp` in the current folder).
        database_url: SQLAlchemy address of the store (`ABP_DATABASE_URL`, default SQLite in `home`).
        data_home: folder where data sets are looked for and downloaded to (`ABP_DATA_HOME`, default `data` in `home`).
    """

    home: Path
    database_url: str
    data_home: Path

    @property
    def artifacts(self) -> Path:
        """Return the folder of trained arms."""
        return self.home / "artifacts"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of trainings under way."""
        return self.home / "checkpoints"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings, with defaults that need no server."""
    home = Path(environment.get("ABP_HOME") or ".abp").expanduser().absolute()
    return Settings(
        home=home,
        database_url=environment.get("ABP_DATABASE_URL") or f"sqlite:///{home / 'abp.db'}",
        data_home=Path(environment.get("ABP_DATA_HOME") or home / "data").expanduser().absolute(),
    )
