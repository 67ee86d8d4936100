"""One component of Airflow, after the end of what a killed one left: `python -m ab_platform.orchestration.component`.

A scheduler that is killed leaves the processes of its tasks and of its log server. They would go on beside those of the
next scheduler, which runs the same tasks again, and hold its port.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ab_platform.orchestration.processes import end, marked


def main(component: str, home: Path) -> None:
    """End what is left of a component, then become it."""
    end(marked(home, component), grace_seconds=1.0)
    os.execv(sys.executable, [sys.executable, "-m", "airflow", component])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
