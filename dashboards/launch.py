"""The command that serves the dashboard; for who starts it as a process, without importing Streamlit."""

from __future__ import annotations

import sys
from pathlib import Path

APP = Path(__file__).with_name("app.py")

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine reaches."""


def command(port: int | None = None, host: str = LOOPBACK[0]) -> list[str]:
    """Return the command line that serves the dashboard.

    Args:
        port: to listen on; where None, the first free one from 8501.
        host: address to listen on; by default this machine alone reaches it.
    """
    options = {
        "server.address": host,
        "server.showEmailPrompt": "false",
        "browser.gatherUsageStats": "false",
    }
    if host not in LOOPBACK:
        options["server.headless"] = "true"  # a browser that opens there serves nobody
    if port is not None:
        options["server.port"] = str(port)
    return [
        sys.executable,
        "-m",
        "dashboards",
        "run",
        str(APP),
        *(f"--{key}={value}" for key, value in options.items()),
    ]
