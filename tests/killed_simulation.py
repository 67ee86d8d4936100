"""A child process that simulates into an archive and kills itself, as `kill -9` would, in the second shard.

python -m tests.killed_simulation DATABASE_URL ARCHIVE
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from ab_platform.simulation import Plan
from ab_platform.simulation.archived import shard, simulate_into
from ab_platform.storage.archive import Archive
from ab_platform.storage.store import open_store

NOW = datetime(2026, 5, 10, 12, 30, tzinfo=UTC)
PLAN = Plan("fading-novelty", users=300, seed=3, days=3, before=False, archived="events")


def main(url: str, folder: Path) -> None:
    shard.USERS_AT_ONCE = 50

    def on_users(done: int, total: int) -> None:
        # Of two shards, the first has about half of the users.
        if done > total * 0.8:
            os.kill(os.getpid(), signal.SIGKILL)

    simulate_into(Archive(folder), open_store(url, migrate=False), PLAN, at=NOW, progress=on_users)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
