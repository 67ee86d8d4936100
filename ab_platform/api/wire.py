"""What travels: the shape of every request and reply, as docs/wire.md tells it; rules are the service's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
)
from pydantic_core import from_json, to_json

from ab_platform.api import sent
from ab_platform.api.sent import LONGEST_TEXT, MOST_EVENTS, MOST_POSITIONS
from ab_platform.events import LONGEST_LATENCY_MS, LONGEST_WATCH_SECONDS, Surface

MOST_USERS = 10_000
MOST_ASSIGNMENTS = 100_000
"""Users times experiments of one request."""

MOST_EXPERIMENTS = 100

# No NUL: PostgreSQL keeps none in text.
Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT, pattern=r"^[^\x00]+$")]
Moment = Annotated[AwareDatetime, Field(description="ISO 8601 with a time zone", examples=["2026-03-01T12:00:00Z"])]


class Shape(BaseModel):
    """What all shapes share: nothing beside what is named, and no `"3"` for 3."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read a body.

        Raises:
            ValidationError: for what is not JSON, or another shape.
        """
        return cls.model_validate_json(body)


class AssignmentsAsked(Shape):
    """Users whose arms are asked for, in the experiments that are named, or in all that run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "42"}, {"user_ids": ["42", "43"]}]})

    user_id: Text | None = None
    user_ids: Annotated[list[Text], Field(min_length=1, max_length=MOST_USERS)] | None = None
    experiments: Annotated[list[Text], Field(min_length=1, max_length=MOST_EXPERIMENTS)] | None = None


@dataclass(slots=True)  # as EventKept
class Assigned:
    """A user's arm in one experiment; no arm unless the reason is `split`."""

    user_id: str
    experiment: str
    arm: str | None
    control: bool | None
    reason: Literal["split", "not_in", "stopped"]


@dataclass(frozen=True, slots=True)
class Assignments:
    """Each user's arm in each experiment, users in the order asked."""

    assignments: list[Assigned]


class SlateAsked(Shape):
    """Someone opens a surface."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "42", "surface": "home_card"}]})

    user_id: Text
    surface: Surface
    title_id: Text | None = None
    experiment: Text | None = None
    at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """One title of a slate."""

    position: int
    title_id: str
    title: str | None
    impression_id: UUID


@dataclass(frozen=True, slots=True)
class ServedSlate:
    """The ordered list to show, and what its impressions need."""

    request_id: UUID
    experiment: str
    user_id: str
    surface: Surface
    at: datetime
    arm: str | None
    served_by: str
    model_version: str | None
    propensity: float | None
    latency_ms: float
    slate: list[Place]


class _Happened(Shape):
    experiment: Text
    user_id: Text
    surface: Surface
    at: Moment
    arm: Text | None = None


class _OnTitle(_Happened):
    title_id: Text
    event_id: UUID | None = None


class ImpressionSent(_OnTitle):
    """One title was shown at one position of a slate."""

    type: Literal["impression"]
    request_id: UUID
    position: Annotated[int, Field(ge=0, lt=MOST_POSITIONS)]
    served_by: Text | None = None
    latency_ms: Annotated[float, Field(ge=0, le=LONGEST_LATENCY_MS, allow_inf_nan=False)] | None = None


class ClickSent(_OnTitle):
    """A title that was shown was clicked."""

    type: Literal["click"]
    impression_id: UUID


class WatchSent(_OnTitle):
    """A title that was shown was played."""

    type: Literal["watch"]
    impression_id: UUID
    watch_seconds: Annotated[float, Field(ge=0, le=LONGEST_WATCH_SECONDS, allow_inf_nan=False)]


class ExposureSent(_Happened):
    """An assigned user was served on a surface by a client that makes its own slates."""

    type: Literal["exposure"]


EventSent = Annotated[ImpressionSent | ClickSent | WatchSent | ExposureSent, Field(discriminator="type")]


class EventsSent(Shape):
    """Events, in any order."""

    events: Annotated[list[EventSent], Field(min_length=1, max_length=MOST_EVENTS)]
    _fit: Sequence[sent.Event] = PrivateAttr(default=())
    _unfit: dict[int, str] = PrivateAttr(default_factory=dict)

    @property
    def fit(self) -> Sequence[sent.Event]:
        """Return the events of a body that was read, in order, without what is unfit."""
        return self._fit

    @property
    def unfit(self) -> Mapping[int, str]:
        """Return why items of a body that was read are no events, by their place in it."""
        return self._unfit

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read a body; an item of another shape is left out, and the others are read all the same.

        Raises:
            ValidationError: for what is not JSON, or another shape as a whole.
        """
        fit = sent.decoded(body)
        if fit is None:
            return cls._sorted_out(body)
        read = cls.model_construct(events=[])
        read._fit = fit
        return read

    @classmethod
    def _sorted_out(cls, body: bytes) -> Self:
        """Read a body of which something may be unfit."""
        try:
            read, unfit = cls.model_validate_json(body), dict[int, str]()
        except ValidationError as error:
            unfit = _unfit_items(error)
            if not unfit:
                raise
            items = from_json(body)["events"]
            fit = [item for place, item in enumerate(items) if place not in unfit]
            read = cls.model_validate_json(to_json({"events": fit})) if fit else cls.model_construct(events=[])
        read._fit = [sent.of(dict(each)) for each in read.events]
        read._unfit = unfit
        return read


def _unfit_items(error: ValidationError) -> dict[int, str]:
    """Return the first thing that is wrong with each item; nothing where more than items is."""
    found: dict[int, str] = {}
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        match each["loc"]:
            case ("events", int() as place, *rest):
                field = str(rest[-1]) if len(rest) > 1 else "the event"
                found.setdefault(place, f"{field}: {each['msg']}")
            case _:
                return {}
    return found


@dataclass(slots=True)  # not frozen: that would take three times as long, thousands of times a request
class EventKept:
    """What became of one event."""

    status: Literal["stored", "duplicate", "spooled", "rejected"]
    event_id: UUID | None = None
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class EventsKept:
    """What became of the events, each in the order sent."""

    stored: int
    duplicates: int
    spooled: int
    rejected: int
    items: list[EventKept]


@dataclass(frozen=True, slots=True)
class ArmShown:
    """An arm of an experiment."""

    arm: str
    control: bool
    weight: float
    recommender: str
    model_version: str


@dataclass(frozen=True, slots=True)
class ExperimentShown:
    """A launched experiment."""

    experiment: str
    state: Literal["running", "stopped"]
    layer: str
    surfaces: list[Surface]
    traffic: float
    clock: Literal["live", "replayed"]
    starts_at: datetime
    ends_at: datetime
    arms: list[ArmShown]


@dataclass(frozen=True, slots=True)
class Experiments:
    """The experiments that a token is for."""

    experiments: list[ExperimentShown]


class ErasureAsked(Shape):
    """A user who asks to be forgotten."""

    user_id: Text


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows of a user are gone."""

    rows: int


@dataclass(frozen=True, slots=True)
class Health:
    """Whether requests can be answered, and what is amiss."""

    ready: bool
    database: Literal["there", "away"]
    experiments: int
    arms_missing: list[str]
    spooled_events: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request failed (RFC 9457)."""

    title: str
    status: int
    code: str
    detail: str
    request_id: str
    type: str = "about:blank"
