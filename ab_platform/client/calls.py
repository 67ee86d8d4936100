"""Requests to the service and what its replies mean, without a connection: the same for threads and for asyncio."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar, cast
from uuid import UUID

from ab_platform.client.shapes import ArmShown, Assigned, ExperimentShown, Place, ServedSlate
from ab_platform.client.wire_event import zoned
from ab_platform.errors import NotFoundError, ServiceAwayError, ServiceError
from ab_platform.events import Surface

MOST_USERS = 10_000
"""Users of one request for assignments."""

LONGEST_RETRY_AFTER_SECONDS = 3600.0
LONGEST_BODY_SHOWN = 200

Read = TypeVar("Read")


@dataclass(frozen=True)
class Call:
    """A request.

    Attributes:
        method: of HTTP.
        path: from the root of the service.
        body: JSON; None where there is none.
    """

    method: Literal["GET", "POST"]
    path: str
    body: bytes | None = None


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        status: of HTTP.
        body: as it came.
        retry_after_seconds: when to ask again; None where it does not say.
    """

    status: int
    body: bytes
    retry_after_seconds: float | None = None


def assignments(user_ids: Sequence[str], experiments: Sequence[str] | None) -> Call:
    """Ask for the arms of up to 10,000 users."""
    asked: dict[str, object] = {"user_ids": list(user_ids)}
    if experiments is not None:
        asked["experiments"] = list(experiments)
    return _post("/v1/assignments", asked)


def recommendation(
    user_id: str, surface: Surface, *, title_id: str | None, experiment: str | None, at: datetime | None
) -> Call:
    """Ask for a slate."""
    moment = None if at is None else zoned(at).isoformat()
    asked = {"user_id": user_id, "surface": surface, "title_id": title_id, "experiment": experiment, "at": moment}
    return _post("/v1/recommendations", {name: each for name, each in asked.items() if each is not None})


def events(lines: Sequence[bytes]) -> Call:
    """Send events, each a line of JSON already."""
    return Call("POST", "/v1/events", b'{"events":[' + b",".join(lines) + b"]}")


def experiments() -> Call:
    """Ask which experiments there are."""
    return Call("GET", "/v1/experiments")


def readiness() -> Call:
    """Ask whether requests can be answered."""
    return Call("GET", "/readyz")


def read_assignments(document: Any) -> tuple[Assigned, ...]:
    """Read the reply to `assignments`."""
    return tuple(
        Assigned(each["user_id"], each["experiment"], each["arm"], each["control"], each["reason"])
        for each in document["assignments"]
    )


def read_slate(document: Any) -> ServedSlate:
    """Read the reply to `recommendation`."""
    return ServedSlate(
        request_id=UUID(document["request_id"]),
        experiment=document["experiment"],
        user_id=document["user_id"],
        surface=document["surface"],
        at=datetime.fromisoformat(document["at"]),
        arm=document["arm"],
        served_by=document["served_by"],
        model_version=document["model_version"],
        propensity=document["propensity"],
        latency_ms=document["latency_ms"],
        places=tuple(
            Place(each["position"], each["title_id"], each["title"], UUID(each["impression_id"]))
            for each in document["slate"]
        ),
    )


def read_experiments(document: Any) -> tuple[ExperimentShown, ...]:
    """Read the reply to `experiments`."""
    return tuple(
        ExperimentShown(
            experiment=each["experiment"],
            state=each["state"],
            layer=each["layer"],
            surfaces=tuple(each["surfaces"]),
            traffic=each["traffic"],
            clock=each["clock"],
            starts_at=datetime.fromisoformat(each["starts_at"]),
            ends_at=datetime.fromisoformat(each["ends_at"]),
            arms=tuple(
                ArmShown(arm["arm"], arm["control"], arm["weight"], arm["recommender"], arm["model_version"])
                for arm in each["arms"]
            ),
        )
        for each in document["experiments"]
    )


def answer(call: Call, reply: Reply, read: Callable[[Any], Read]) -> Read:
    """Return what a reply says.

    Raises:
        NotFoundError: for an experiment that the service does not know, or not for this token.
        ServiceError: for what it refused, and for a reply that is not the service's.
        ServiceAwayError: where it cannot answer now.
    """
    if reply.status != 200:
        raise refusal(call, reply)
    try:
        return read(json.loads(reply.body))
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceError(
            f"{call.method} {call.path} was answered with {_shown(reply.body)}; is the address that of the service?"
        ) from error


def refusal(call: Call, reply: Reply) -> NotFoundError | ServiceError | ServiceAwayError:
    """Return the error that a reply stands for."""
    told = problem(reply)
    what = f"{call.method} {call.path}: HTTP {reply.status}: {told.get('detail') or _shown(reply.body)}"
    code = str(told.get("code", ""))
    if reply.status == 429 or reply.status >= 500:
        return ServiceAwayError(what, status=reply.status, retry_after_seconds=reply.retry_after_seconds)
    if code == "unknown_experiment":
        return NotFoundError(what)
    return ServiceError(what, status=reply.status, code=code)


def problem(reply: Reply) -> Mapping[str, object]:
    """Return the problem document of a reply; empty where it has none."""
    try:
        document = json.loads(reply.body)
    except ValueError:
        return {}
    return cast("Mapping[str, object]", document) if isinstance(document, dict) else {}


def retry_after(header: str | None, *, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for, given in seconds or as a date; None for none or nonsense.

    It is at most an hour: what asks for more is asked again sooner.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS) if seconds == seconds else None


def _post(path: str, asked: Mapping[str, object]) -> Call:
    return Call("POST", path, json.dumps(asked, separators=(",", ":")).encode())


def _shown(body: bytes) -> str:
    text = body[: LONGEST_BODY_SHOWN + 1].decode(errors="replace")
    return repr(text[:LONGEST_BODY_SHOWN] + ("…" if len(text) > LONGEST_BODY_SHOWN else ""))
