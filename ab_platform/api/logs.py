"""The log as JSON lines, each with the request it belongs to; no body, no header and no token is ever in it."""

from __future__ import annotations

import json
import logging
import sys
import threading
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered."""

logger = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """Writes one JSON object a line, in ASCII, so that it is one line for whoever reads it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line."""
        told: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            told["request_id"] = request_id
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def configuration(level: str) -> dict[str, object]:
    """Return the configuration of logging: everything to standard error, as JSON lines."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "ab_platform.api.logs.JsonLines"}},
        "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "root": {"handlers": ["err"], "level": level.upper()},
        # Its lines tell nothing of the service.
        "loggers": {"alembic.runtime.plugins": {"level": "WARNING"}},
    }


def take_over() -> None:
    """Let what Python itself would print, warnings and errors that nobody caught, be lines of the log as well."""
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logger.critical("the process ends", exc_info=(kind, error, trace))


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    name = "unknown" if told.thread is None else told.thread.name
    logger.critical("thread %s ends", name, exc_info=told.exc_value)
