"""OpenFeature hooks: tell of exposures to the platform, to Segment, and to the current OpenTelemetry span."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol, cast

from openfeature.flag_evaluation import FlagEvaluationDetails, FlagValueType, Reason
from openfeature.hook import Hook, HookContext, HookHints

from ab_platform.client.http import Client, now
from ab_platform.errors import EventError, PlatformError
from ab_platform.events import Surface

logger = logging.getLogger(__name__)

Details = FlagEvaluationDetails[FlagValueType]
SendSegment = Callable[[Mapping[str, object]], None]


class Span(Protocol):
    """What is needed of an OpenTelemetry span."""

    def add_event(self, name: str, attributes: Mapping[str, str]) -> None:
        """Add an event."""
        ...


class ExposureHook(Hook):
    """Tells the service that a user in an arm was served on a surface; the earliest exposure counts.

    Evaluate the flag where the arm is about to be shown: an evaluation that shows nothing would count users who saw no
    difference. The surface is the attribute `surface` of the evaluation context, or else this hook's. With an outbox
    the evaluation waits for the disk.

    Args:
        client: sends.
        surface: of evaluations whose context does not name one.
        clock: tells the time.
    """

    def __init__(self, client: Client, *, surface: Surface | None = None, clock: Callable[[], datetime] = now) -> None:
        self._client = client
        self._surface = surface
        self._clock = clock

    def after(self, hook_context: HookContext, details: Details, hints: HookHints) -> None:
        """Send the exposure; what is amiss is told in the log, never by an exception."""
        experiment = _split(details)
        if experiment is None:
            return
        try:
            context = hook_context.evaluation_context
            surface = context.attributes.get("surface", self._surface)
            if surface is None:
                raise EventError("no surface is known; give the context an attribute surface, or the hook a surface")
            self._client.exposed(experiment, str(context.targeting_key), cast("Surface", surface), self._clock())
        except PlatformError as error:
            logger.error("the exposure of flag '%s' was not sent: %s", hook_context.flag_key, error)
        except Exception:
            logger.exception("the exposure of flag '%s' was not sent", hook_context.flag_key)


class SegmentHook(Hook):
    """Tells of exposures as Segment's A/B testing events, "Experiment Viewed".

    Args:
        send: takes one `track` call of Segment, such as `lambda call: analytics.track(call["userId"], ...)`.
        clock: tells the time.
    """

    def __init__(self, send: SendSegment, *, clock: Callable[[], datetime] = now) -> None:
        self._send = send
        self._clock = clock

    def after(self, hook_context: HookContext, details: Details, hints: HookHints) -> None:
        """Send the call; what is amiss is told in the log, never by an exception."""
        experiment = _split(details)
        if experiment is None:
            return
        viewed = {
            "type": "track",
            "event": "Experiment Viewed",
            "userId": hook_context.evaluation_context.targeting_key,
            "timestamp": self._clock().isoformat(),
            "properties": {
                "experiment_id": experiment,
                "experiment_name": experiment,
                "variation_id": details.variant,
                "variation_name": details.variant,
            },
        }
        try:
            self._send(viewed)
        except Exception:
            logger.exception("\"Experiment Viewed\" of flag '%s' was not sent", hook_context.flag_key)


class TelemetryHook(Hook):
    """Adds each evaluation to the current span, by OpenTelemetry's semantic conventions for feature flags.

    Args:
        current_span: where events go; that of the `opentelemetry-api` package by default.

    Raises:
        ModuleNotFoundError: where that package is not installed.
    """

    def __init__(self, current_span: Callable[[], Span] | None = None) -> None:
        if current_span is None:
            current_span = importlib.import_module("opentelemetry.trace").get_current_span
        self._current_span = current_span

    def finally_after(self, hook_context: HookContext, details: Details, hints: HookHints) -> None:
        """Add the event, also for an evaluation that failed."""
        self._current_span().add_event("feature_flag.evaluation", attributes=_conventional(hook_context, details))


def _split(details: Details) -> str | None:
    """Return the experiment where the user is in an arm; None otherwise, and for flags of other providers."""
    experiment = details.flag_metadata.get("experiment")
    return experiment if details.reason == Reason.SPLIT and isinstance(experiment, str) else None


def _conventional(hook_context: HookContext, details: Details) -> dict[str, str]:
    """Return the attributes of https://opentelemetry.io/docs/specs/semconv/feature-flags/feature-flags-events/."""
    provider = hook_context.provider_metadata
    told = {
        "feature_flag.key": details.flag_key,
        "feature_flag.provider.name": provider.name if provider else None,
        "feature_flag.result.variant": details.variant,
        "feature_flag.result.reason": str(details.reason or Reason.UNKNOWN).lower(),
        "feature_flag.context.id": hook_context.evaluation_context.targeting_key,
        "error.type": str(details.error_code).lower() if details.error_code else None,
        "feature_flag.error.message": details.error_message,
    }
    return {name: each for name, each in told.items() if each is not None}
