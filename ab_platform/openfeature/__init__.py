"""Experiments as OpenFeature flags: a flag is an experiment's key, its variant the user's arm.

api.set_provider(ExperimentProvider(client))
api.add_hooks([ExposureHook(client, surface="home_card")])
arm = api.get_client().get_string_value("pia-vs-multivae", "control", EvaluationContext("42"))
"""

from ab_platform.openfeature.assignments import Assignments, CachedAssignments, LocalAssignments, ServiceAssignments
from ab_platform.openfeature.hooks import ExposureHook, SegmentHook, TelemetryHook
from ab_platform.openfeature.provider import ExperimentProvider

__all__ = [
    "Assignments",
    "CachedAssignments",
    "ExperimentProvider",
    "ExposureHook",
    "LocalAssignments",
    "SegmentHook",
    "ServiceAssignments",
    "TelemetryHook",
]
