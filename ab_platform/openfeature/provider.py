"""The OpenFeature provider: a flag is an experiment, the user's arm its variant."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import (
    ErrorCode,
    FlagNotFoundError,
    GeneralError,
    InvalidContextError,
    OpenFeatureError,
    ProviderNotReadyError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata
from openfeature.track import TrackingEventDetails

from ab_platform.client.http import Client, now
from ab_platform.client.shapes import Assigned
from ab_platform.errors import NotFoundError, PlatformError, ServiceAwayError, ServiceError
from ab_platform.openfeature.assignments import Assignments, CachedAssignments, KnownAssigned, ServiceAssignments
from ab_platform.openfeature.tracking import TRACKED, tracked

logger = logging.getLogger(__name__)

NAME = "ab_platform"

Value = TypeVar("Value")
ObjectValue = Sequence[FlagValueType] | Mapping[str, FlagValueType]


class ExperimentProvider(AbstractProvider):
    """Answers flags with arms.

    A string flag's value is the arm's name, a boolean flag's whether the arm is a treatment, an object flag's what is
    known of it. Users who are in no arm get the default, with reason DEFAULT, or DISABLED where the experiment ended.

    Args:
        source: the service's client, or assignments in this process.
        client: what `track` sends with; the source itself where it is a client.
        cache_seconds: how long an assignment is remembered; 0 asks each time.
        clock: tells the time of tracked events whose `at` is not given.
    """

    def __init__(
        self,
        source: Client | Assignments,
        *,
        client: Client | None = None,
        cache_seconds: float = 0.0,
        clock: Callable[[], datetime] = now,
    ) -> None:
        super().__init__()
        self._remote: ServiceAssignments | None = None
        self._client = client
        self._assignments: Assignments
        if isinstance(source, Client):
            self._client = source
            self._assignments = self._remote = ServiceAssignments(source)
        else:
            self._assignments = source
        if cache_seconds > 0.0:
            self._assignments = CachedAssignments(self._assignments, seconds=cache_seconds, clock=time.monotonic)
        self._clock = clock
        self._lock = threading.Lock()
        self._there = True  # as the SDK was told last
        self._shut = False

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata(NAME)

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Begin; the service need not be there for flags to be asked later.

        Raises:
            ProviderNotReadyError: where the service does not answer yet; the SDK tells those who listen.
        """
        self._shut = False
        if self._remote is not None and not self._remote.ready():
            self._there = False
            raise ProviderNotReadyError("the service does not answer yet; flags have their defaults until it does")
        self._there = True

    def shutdown(self) -> None:
        """Send what was tracked; flags are answered no more. The client stays open: it is the application's."""
        self._shut = True
        if self._client is not None:
            self._client.flush()

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Return the arm's name.

        Raises:
            OpenFeatureError: by the specification; the SDK turns it into the default.
        """
        return _details(self._assigned(flag_key, evaluation_context), default_value, _arm)

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Return whether the user is in a treatment arm.

        Raises:
            OpenFeatureError: by the specification; the SDK turns it into the default.
        """
        return _details(self._assigned(flag_key, evaluation_context), default_value, _treated)

    def resolve_object_details(
        self, flag_key: str, default_value: ObjectValue, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[ObjectValue]:
        """Return arm, control and experiment; in process also the arm's config.

        Raises:
            OpenFeatureError: by the specification; the SDK turns it into the default.
        """
        return _details(self._assigned(flag_key, evaluation_context), default_value, _described)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Refuse: no experiment has an integer value.

        Raises:
            TypeMismatchError: always.
        """
        raise _mismatch(flag_key, "integer")

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Refuse: no experiment has a float value.

        Raises:
            TypeMismatchError: always.
        """
        raise _mismatch(flag_key, "float")

    async def resolve_string_details_async(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Return the arm's name; the loop goes on while the service is asked.

        Raises:
            OpenFeatureError: by the specification; the SDK turns it into the default.
        """
        return _details(await self._assigned_async(flag_key, evaluation_context), default_value, _arm)

    async def resolve_boolean_details_async(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Return whether the user is in a treatment arm; the loop goes on while the service is asked.

        Raises:
            OpenFeatureError: by the specification; the SDK turns it into the default.
        """
        return _details(await self._assigned_async(flag_key, evaluation_context), default_value, _treated)

    async def resolve_object_details_async(
        self, flag_key: str, default_value: ObjectValue, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[ObjectValue]:
        """Return arm, control and experiment; the loop goes on while the service is asked.

        Raises:
            OpenFeatureError: by the specification; the SDK turns it into the default.
        """
        return _details(await self._assigned_async(flag_key, evaluation_context), default_value, _described)

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Send an `impression`, `click` or `watch`; what is amiss is told in the log, never by an exception.

        Other names are other systems' and are left alone.
        """
        if tracking_event_name not in TRACKED:
            logger.debug("'%s' is no event of an experiment; it is not sent", tracking_event_name)
            return
        try:
            if self._client is None:
                raise ServiceError("the provider has no client to send with; give one as `client`")
            at = self._clock()
            self._client.send([tracked(tracking_event_name, evaluation_context, tracking_event_details, at=at)])
        except PlatformError as error:
            logger.error("tracking '%s' failed: %s", tracking_event_name, error)
        except Exception:
            logger.exception("tracking '%s' failed", tracking_event_name)

    async def _assigned_async(self, flag_key: str, context: EvaluationContext | None) -> Assigned:
        if self._remote is None:
            return self._assigned(flag_key, context)
        return await asyncio.to_thread(self._assigned, flag_key, context)

    def _assigned(self, flag_key: str, context: EvaluationContext | None) -> Assigned:
        if self._shut:
            raise ProviderNotReadyError("the provider is shut down; set it anew")
        if context is None or not context.targeting_key:
            raise TargetingKeyMissingError("the evaluation context has no targeting_key; it must be the user's id")
        try:
            found = self._assignments.assign(context.targeting_key, flag_key)
        except PlatformError as error:
            raise self._failure(error) from error
        self._tell(there=True)
        return found

    def _failure(self, error: PlatformError) -> OpenFeatureError:
        """Return the specification's error for one of the platform."""
        if isinstance(error, NotFoundError):
            return FlagNotFoundError(str(error))
        if isinstance(error, ServiceAwayError):
            self._tell(there=False, why=str(error))
            return ProviderNotReadyError(str(error)) if error.status == 503 else GeneralError(str(error))
        if isinstance(error, ServiceError) and error.status == 422:
            return InvalidContextError(str(error))
        return GeneralError(str(error))

    def _tell(self, *, there: bool, why: str | None = None) -> None:
        """Tell the SDK when the service comes or goes."""
        with self._lock:
            changed = self._there != there
            self._there = there
        if changed and there:
            self.emit_provider_ready(ProviderEventDetails())
        elif changed:
            self.emit_provider_error(ProviderEventDetails(message=why, error_code=ErrorCode.GENERAL))


def _details(
    assigned: Assigned, default_value: Value, value: Callable[[Assigned], Value]
) -> FlagResolutionDetails[Value]:
    """Return the resolution: the arm's value, or the default with the reason why there is no arm."""
    if assigned.arm is None:
        reason = Reason.DISABLED if assigned.reason == "stopped" else Reason.DEFAULT
        return FlagResolutionDetails(default_value, reason=reason, flag_metadata=_metadata(assigned))
    return FlagResolutionDetails(
        value(assigned), reason=Reason.SPLIT, variant=assigned.arm, flag_metadata=_metadata(assigned)
    )


def _metadata(assigned: Assigned) -> dict[str, bool | int | float | str]:
    if not isinstance(assigned, KnownAssigned):
        return {"experiment": assigned.experiment}
    told = {"experiment": assigned.experiment, "layer": assigned.layer, "model_version": assigned.model_version}
    return {name: each for name, each in told.items() if each is not None}


def _arm(assigned: Assigned) -> str:
    return str(assigned.arm)


def _treated(assigned: Assigned) -> bool:
    return assigned.control is False


def _described(assigned: Assigned) -> ObjectValue:
    told: dict[str, FlagValueType] = {
        "arm": str(assigned.arm),
        "control": bool(assigned.control),
        "experiment": assigned.experiment,
    }
    return told | {"config": dict(assigned.config)} if isinstance(assigned, KnownAssigned) else told


def _mismatch(flag_key: str, asked: str) -> TypeMismatchError:
    return TypeMismatchError(f"flag '{flag_key}' was asked for as {asked}; ask for a string, boolean or object")
