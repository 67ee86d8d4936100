"""The exceptions of the platform.

    PlatformError            anything a person can act on; the command line prints it as one line
    ├── ExperimentError      a definition that breaks a rule, or a step its state forbids
    ├── DataError            a file, row or title that cannot be taken as it is
    ├── EventError           an impression, click or watch that breaks a rule
    ├── StoreError           the database: away, not migrated, or holding something else
    ├── OutOfMemoryError     a training that does not fit where it runs; a repetition would not fit either
    ├── AlertError           an alert that could not be delivered
    ├── AirflowError         what Airflow refused, or a run that failed
    ├── AirflowAwayError     an Airflow that does not answer
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


class StoreError(PlatformError):
    """A database that is away, not migrated, or holds something else."""


class OutOfMemoryError(PlatformError):
    """A training that does not fit into the memory of the machine or the GPU."""


class AlertError(PlatformError):
    """An alert that could not be delivered; it stays to be sent."""


class AirflowError(PlatformError):
    """A request that Airflow refused, or a run that failed."""


class AirflowAwayError(PlatformError):
    """An Airflow that does not answer, now."""


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
