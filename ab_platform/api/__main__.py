"""Start the service: `python -m ab_platform.api`, which is what `abp serve` does."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import uvicorn

from ab_platform.api import logs
from ab_platform.api.meters_folder import meters_folder
from ab_platform.errors import PlatformError
from ab_platform.pseudonym import Pseudonyms
from ab_platform.settings import ServiceSettings, Settings, from_environment, tell_workers
from ab_platform.storage.store import unchecked_store

FACTORY = "ab_platform.api.process:application"


def main() -> None:
    """Read the options, and run the workers until a signal ends them."""
    parser = _parser()
    asked = parser.parse_args()
    try:
        _check(from_environment())
    except PlatformError as error:
        parser.exit(2, f"{error}\n")
    # Once a single worker has ended, uvicorn raises the signal again: it was heard, and all is well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with meters_folder() as meters:
        tell_workers(_told(asked, meters))
        _run(asked)


def _check(chosen: Settings) -> None:
    """Refuse here what every worker would fail on, again and again."""
    Pseudonyms(chosen.user_id_key)
    unchecked_store(chosen.database_url, timeout_seconds=1.0, connections=1).close()


def _run(asked: argparse.Namespace) -> None:
    uvicorn.run(
        FACTORY,
        factory=True,
        host=asked.host,
        port=asked.port,
        workers=asked.workers,
        log_config=logs.configuration(asked.log_level),
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing asks who the proxy says it speaks for
        date_header=True,
        timeout_graceful_shutdown=30,
        timeout_keep_alive=75,
        backlog=2048,
        h11_max_incomplete_event_size=64 * 1024,
    )


def _told(asked: argparse.Namespace, meters: Path) -> ServiceSettings:
    return ServiceSettings(
        workers=asked.workers,
        open_to_all=asked.open,
        origins=tuple(asked.origin),
        deadline_ms=asked.deadline_ms,
        database_seconds=asked.database_seconds,
        log_requests=asked.log_requests,
        meters=str(meters),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ab_platform.api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--open", action="store_true")
    parser.add_argument("--origin", action="append", default=[])
    parser.add_argument("--deadline-ms", type=float, default=100.0)
    parser.add_argument("--database-seconds", type=float, default=2.0)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--log-requests", action="store_true")
    return parser


if __name__ == "__main__":
    main()
