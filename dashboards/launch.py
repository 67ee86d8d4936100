"""The command that serves the dashboard; for who starts it as a process, without importing Streamlit."""

from __future__ import annotations

import sys
from pathlib import Path

APP = Path(__file__).with_name("app.py")


def command(port: int | None = None) -> list[str]:
    """Return the command line that serves the dashboard to this machine alone.

    Args:
        port: to listen on; where None, the first free one from 8501.
    """
    options = {
        "server.address": "127.0.0.1",
        "server.showEmailPrompt": "false",
        "browser.gatherUsageStats": "false",
    }
    if port is not None:
        options["server.port"] = str(port)
    return [sys.executable, "-m", "streamlit", "run", str(APP), *(f"--{key}={value}" for key, value in options.items())]
