"""The exceptions of the platform.

    PlatformError            anything a person can act on; the command line prints it as one line
    ├── ExperimentError      a definition that breaks a rule, or a step its state forbids
    ├── DataError            a file, row or title that cannot be taken as it is
    ├── EventError           an impression, click or watch that breaks a rule
    ├── AccessError          a token that breaks a rule, or what is asked of one that cannot be
    ├── StoreError           the database: not migrated, or holding something else
    │   └── StoreAwayError   the database does not answer, or not in time
    ├── OutOfMemoryError     a training that does not fit where it runs; a repetition would not fit either
    ├── AlertError           an alert that could not be delivered
    ├── AirflowError         what Airflow refused, or a run that failed
    ├── AirflowAwayError     an Airflow that does not answer
    ├── ServiceError         what the online service refused
    ├── ServiceAwayError     an online service that does not answer, or cannot now
    ├── SpoolFullError       events that cannot be kept on disk now
    └── NotFoundError        a key that nothing answers to

Every message says the value found, what is required, and the next step.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PlatformError(Exception):
    """Something a person can act on."""


class ExperimentError(PlatformError):
    """A definition that breaks a rule, or a step that the experiment's state forbids.

    Attributes:
        location: keys that lead to the value in the experiment file, an arm by its name or
            place; empty where none does.
    """

    def __init__(self, message: str, location: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.location = location


class DataError(PlatformError):
    """A file, row or title that cannot be taken as it is."""


class EventError(PlatformError):
    """An impression, click or watch that breaks a rule."""


class AccessError(PlatformError):
    """A token that breaks a rule, or something asked of it that cannot be."""


class StoreError(PlatformError):
    """A database that is not migrated, or holds something else; or one that is away."""


class StoreAwayError(StoreError):
    """A database that does not answer, or not in time; later it may."""


class OutOfMemoryError(PlatformError):
    """A training that does not fit into the memory of the machine or the GPU."""


class AlertError(PlatformError):
    """An alert that could not be delivered; it stays to be sent."""


class AirflowError(PlatformError):
    """A request that Airflow refused, or a run that failed."""


class AirflowAwayError(PlatformError):
    """An Airflow that does not answer, now."""


class ServiceError(PlatformError):
    """A request that the online service refused; repeating it as it is would not help.

    Attributes:
        status: of HTTP; 0 where the reply was not the service's.
        code: the service's word for it, such as `unauthorized`.
    """

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ServiceAwayError(PlatformError):
    """An online service that does not answer, or cannot answer now.

    Attributes:
        status: of HTTP, such as 503; 0 where nothing answered.
        retry_after_seconds: when to ask again; None where it did not say.
    """

    def __init__(self, message: str, *, status: int = 0, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class SpoolFullError(PlatformError):
    """Events that the disk cannot take now: it is full or failing, or the spool is at its limit. Nothing was kept.

    Attributes:
        retry_after_seconds: when to offer them again.
    """

    def __init__(self, message: str, *, retry_after_seconds: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotFoundError(PlatformError):
    """A key that nothing answers to."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or list them all.

    Returns:
        A clause to append to a message, such as `did you mean 'layer'?`.
    """
    choices = sorted(known)
    close = get_close_matches(word, choices, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(choices) or 'none'}"
