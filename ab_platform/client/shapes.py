"""What the service tells a client: Assigned, ServedSlate, ExperimentShown, Rejected; frozen, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from ab_platform.client.wire_event import WireEvent
from ab_platform.events import Surface

Reason = Literal["split", "not_in", "stopped"]
"""Why a user has an arm or none: in an arm, in no arm of a running experiment, or the experiment has ended."""


@dataclass(frozen=True)
class Assigned:
    """A user's arm in one experiment.

    Attributes:
        user_id: the user.
        experiment: its key.
        arm: the arm's name; None unless the reason is `split`.
        control: whether it is the control; None where there is no arm.
        reason: why there is an arm, or none.
    """

    user_id: str
    experiment: str
    arm: str | None
    control: bool | None
    reason: Reason


@dataclass(frozen=True)
class Place:
    """One title of a slate.

    Attributes:
        position: place in the slate, from 0.
        title_id: the title.
        title: its name, where the service knows one.
        impression_id: id of the impression that showing it makes.
    """

    position: int
    title_id: str
    title: str | None
    impression_id: UUID


@dataclass(frozen=True)
class ServedSlate:
    """The ordered list to show, and what its events need.

    Attributes:
        request_id: of the slate; the same for a repetition with the same `at`.
        experiment: key of the experiment.
        user_id: the user.
        surface: where it is shown.
        at: when it was made.
        arm: the user's arm; None for a user who is not in the experiment, who gets the control and makes no events.
        served_by: the arm's name, or `popularity` where the arm could not serve.
        model_version: artifact of what served.
        propensity: share of the experiment's users that get this arm; None where there is no arm.
        latency_ms: how long the service took.
        places: best first.
    """

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
    places: tuple[Place, ...]


@dataclass(frozen=True)
class ArmShown:
    """An arm of a launched experiment."""

    arm: str
    control: bool
    weight: float
    recommender: str
    model_version: str


@dataclass(frozen=True)
class ExperimentShown:
    """A launched experiment.

    Attributes:
        experiment: its key.
        state: `running` or `stopped`.
        layer: the layer's salt.
        surfaces: where it runs.
        traffic: share of owned users who are in.
        clock: `live`, or `replayed` where visits are on the experiment's own calendar.
        starts_at: first moment whose events count.
        ends_at: planned end, exclusive.
        arms: in the order of the definition.
    """

    experiment: str
    state: Literal["running", "stopped"]
    layer: str
    surfaces: tuple[Surface, ...]
    traffic: float
    clock: Literal["live", "replayed"]
    starts_at: datetime
    ends_at: datetime
    arms: tuple[ArmShown, ...]


@dataclass(frozen=True)
class Rejected:
    """An event that the service does not take, and would not take a second time.

    Attributes:
        event: what was sent.
        code: the service's word for it, such as `unknown_title`.
        reason: for people.
    """

    event: WireEvent
    code: str
    reason: str


@dataclass(frozen=True)
class Counts:
    """What became of a client's events so far.

    Attributes:
        waiting: not acknowledged yet.
        stored: new to the service.
        duplicates: the service had them.
        spooled: safe on the service's disk, to be stored later.
        rejected: not taken, for good.
        dropped: given up here because the queue was full, or could not be read back from disk.
        failures: tries to send a batch that failed and were, or will be, repeated.
    """

    waiting: int
    stored: int
    duplicates: int
    spooled: int
    rejected: int
    dropped: int
    failures: int
