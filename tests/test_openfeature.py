"""Experiments as OpenFeature flags: values, variants, reasons, errors, hooks and tracking, through the SDK itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagResolutionDetails, Reason
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from openfeature.track import TrackingEventDetails

from ab_platform.client import Client
from ab_platform.client.shapes import Assigned
from ab_platform.errors import NotFoundError
from ab_platform.events import event_id
from ab_platform.openfeature import (
    Assignments,
    CachedAssignments,
    ExperimentProvider,
    ExposureHook,
    LocalAssignments,
    SegmentHook,
    ServiceAssignments,
    TelemetryHook,
)
from ab_platform.serving import place
from ab_platform.storage.store import Store
from tests.client.fake_service import FakeService, serving
from tests.client.made import AT, client
from tests.client.test_outbox import nowhere
from tests.storage.made import KEY, definition, launch, started

Ask = Callable[[OpenFeatureClient, str, EvaluationContext | None], FlagEvaluationDetails[Any]]

LAUNCHED = launch(definition(buckets=(0, 5_000)))
STOPPED = replace(launch(definition("stopped")), state="stopped")
REQUEST = event_id(AT, "slate")


def user_in(arm: str | None) -> str:
    """Return a user of an arm, or of none."""
    names = [each.name for each in LAUNCHED.experiment.arms]
    users = (f"u{number}" for number in range(1_000))
    found = ((user, place(LAUNCHED, user).arm_index) for user in users)
    return next(user for user, index in found if (None if index is None else names[index]) == arm)


TREATED, CONTROL, OUT = user_in("pia"), user_in("control"), user_in(None)


@pytest.fixture
def service() -> Iterator[FakeService]:
    with serving(FakeService(launches=[LAUNCHED, STOPPED])) as begun:
        yield begun


@pytest.fixture
def connected(service: FakeService) -> Iterator[Client]:
    with client(service.url) as opened:
        yield opened


@pytest.fixture(params=["service", "local"])
def source(request: pytest.FixtureRequest) -> Client | Assignments:
    if request.param == "local":
        return LocalAssignments([LAUNCHED, STOPPED])
    connected: Client = request.getfixturevalue("connected")
    return connected


@pytest.fixture(autouse=True)
def clean_sdk() -> Iterator[None]:
    yield
    api.shutdown()


def flags(source: Client | Assignments, *, cache_seconds: float = 0.0) -> OpenFeatureClient:
    api.set_provider_and_wait(ExperimentProvider(source, cache_seconds=cache_seconds, clock=lambda: AT))
    return api.get_client()


def user(name: str, **attributes: str) -> EvaluationContext:
    return EvaluationContext(name, attributes)


ASKS: dict[str, Ask] = {
    "string": lambda asked, key, context: asked.get_string_details(key, "default", context),
    "boolean": lambda asked, key, context: asked.get_boolean_details(key, True, context),
    "object": lambda asked, key, context: asked.get_object_details(key, {"arm": "default"}, context),
    "string_async": lambda asked, key, context: asyncio.run(asked.get_string_details_async(key, "default", context)),
    "boolean_async": lambda asked, key, context: asyncio.run(asked.get_boolean_details_async(key, True, context)),
    "object_async": lambda asked, key, context: asyncio.run(
        asked.get_object_details_async(key, {"arm": "default"}, context)
    ),
}
DEFAULTS = {"string": "default", "boolean": True, "object": {"arm": "default"}}


@pytest.fixture(params=ASKS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def default_of(kind: str) -> object:
    return DEFAULTS[kind.removesuffix("_async")]


@pytest.mark.parametrize(("name", "arm", "control"), [(TREATED, "pia", False), (CONTROL, "control", True)])
def test_a_user_in_an_arm_gets_it_as_variant_and_value_by_a_split(
    source: Client | Assignments, kind: str, name: str, arm: str, control: bool
) -> None:
    found = ASKS[kind](flags(source), KEY, user(name))
    assert (found.reason, found.variant, found.error_code) == (Reason.SPLIT, arm, None)
    value = found.value
    if kind.startswith("object"):
        value = {each: found.value[each] for each in ("arm", "control", "experiment")}
    values = {"string": arm, "boolean": not control, "object": {"arm": arm, "control": control, "experiment": KEY}}
    assert value == values[kind.removesuffix("_async")]
    assert found.flag_metadata["experiment"] == KEY


def test_a_user_in_no_arm_gets_the_default(source: Client | Assignments, kind: str) -> None:
    found = ASKS[kind](flags(source), KEY, user(OUT))
    assert (found.value, found.reason, found.variant) == (default_of(kind), Reason.DEFAULT, None)
    assert found.error_code is None


def test_a_stopped_experiment_is_disabled(source: Client | Assignments, kind: str) -> None:
    found = ASKS[kind](flags(source), "stopped", user(TREATED))
    assert (found.value, found.reason, found.variant) == (default_of(kind), Reason.DISABLED, None)


def test_an_unknown_experiment_is_a_flag_that_is_not_found(source: Client | Assignments, kind: str) -> None:
    found = ASKS[kind](flags(source), "nope", user(TREATED))
    assert (found.value, found.reason) == (default_of(kind), Reason.ERROR)
    assert found.error_code == ErrorCode.FLAG_NOT_FOUND
    assert "'nope' is not launched" in str(found.error_message)


@pytest.mark.parametrize("context", [None, EvaluationContext(), EvaluationContext("")])
def test_a_context_without_a_user_lacks_its_targeting_key(
    source: Client | Assignments, kind: str, context: EvaluationContext | None
) -> None:
    found = ASKS[kind](flags(source), KEY, context)
    assert (found.value, found.reason) == (default_of(kind), Reason.ERROR)
    assert found.error_code == ErrorCode.TARGETING_KEY_MISSING


def test_an_experiment_has_no_numbers(source: Client | Assignments) -> None:
    asked = flags(source)
    for found in (asked.get_integer_details(KEY, 3, user(TREATED)), asked.get_float_details(KEY, 3.0, user(TREATED))):
        assert (found.value, found.reason, found.error_code) == (3, Reason.ERROR, ErrorCode.TYPE_MISMATCH)
    late = asyncio.run(asked.get_integer_details_async(KEY, 3, user(TREATED)))
    assert late.error_code == ErrorCode.TYPE_MISMATCH


def test_a_user_id_that_the_service_refuses_is_an_invalid_context(connected: Client) -> None:
    found = flags(connected).get_string_details(KEY, "default", user("u" * 300))
    assert (found.value, found.error_code) == ("default", ErrorCode.INVALID_CONTEXT)


def test_in_process_the_flag_tells_what_the_launch_knows() -> None:
    found = flags(LocalAssignments([LAUNCHED])).get_object_details(KEY, {}, user(TREATED))
    assert isinstance(found.value, Mapping)
    assert found.value["config"] == {"alignment": 0.1}
    assert found.flag_metadata == {"experiment": KEY, "layer": "recommender", "model_version": "artifact-pia"}


def test_the_service_and_this_process_assign_alike(connected: Client) -> None:
    far, near = ServiceAssignments(connected), LocalAssignments([LAUNCHED, STOPPED])
    for key in (KEY, "stopped"):
        for number in range(60):
            local = near.assign(f"user-{number}", key)
            assert far.assign(f"user-{number}", key) == Assigned(
                local.user_id, local.experiment, local.arm, local.control, local.reason
            )


def test_launches_of_a_store_are_assigned_from(store: Store) -> None:
    launched = started(store)
    assigned = LocalAssignments(store.experiments()).assign("42", KEY)
    index = place(launched, "42").arm_index
    assert index is not None
    assert assigned.arm == launched.experiment.arms[index].name


def test_a_pseudonym_decides_the_arm_and_the_application_sees_its_own_user() -> None:
    plain, keyed = LocalAssignments([LAUNCHED]), LocalAssignments([LAUNCHED], pseudonym=lambda name: f"hash-of-{name}")
    for number in range(50):
        found = keyed.assign(f"u{number}", KEY)
        assert found.user_id == f"u{number}"
        assert found.arm == plain.assign(f"hash-of-u{number}", KEY).arm


def test_a_ramp_reaches_the_flags_with_the_launches() -> None:
    local = LocalAssignments([replace(LAUNCHED, traffic=0.0)])
    assert local.assign(TREATED, KEY).reason == "not_in"
    local.replace([LAUNCHED])
    assert local.assign(TREATED, KEY).arm == "pia"
    local.replace([replace(STOPPED, events_deleted_at=AT)])
    with pytest.raises(NotFoundError):
        local.assign(TREATED, "stopped")


class Counting:
    """Assignments that count how often they are asked."""

    def __init__(self) -> None:
        self.asked = 0

    def assign(self, user_id: str, experiment: str) -> Assigned:
        self.asked += 1
        return Assigned(user_id, experiment, "pia", False, "split")


def test_an_assignment_is_remembered_for_its_time_and_no_longer() -> None:
    source, time = Counting(), [0.0]
    cached = CachedAssignments(source, seconds=5.0, clock=lambda: time[0])
    for moment, asked in ((0.0, 1), (4.9, 1), (5.0, 2), (9.9, 2), (10.0, 3)):
        time[0] = moment
        assert cached.assign("u1", KEY).arm == "pia"
        assert source.asked == asked


def test_the_memory_of_assignments_is_bounded_and_keeps_users_apart() -> None:
    source = Counting()
    cached = CachedAssignments(source, seconds=5.0, clock=lambda: 0.0, most=2)
    assert [cached.assign(name, KEY).user_id for name in ("a", "b", "c", "b", "c")] == ["a", "b", "c", "b", "c"]
    assert source.asked == 3
    cached.assign("a", KEY)
    assert source.asked == 4


@pytest.mark.parametrize(("seconds", "asked"), [(0.0, 3), (60.0, 1)])
def test_a_provider_remembers_only_where_it_is_asked_to(seconds: float, asked: int) -> None:
    source = Counting()
    evaluated = flags(source, cache_seconds=seconds)
    assert {evaluated.get_string_value(KEY, "default", user("u1")) for _ in range(3)} == {"pia"}
    assert source.asked == asked


def test_a_service_that_is_away_gives_the_default_with_a_general_error(kind: str) -> None:
    with client(nowhere()) as away:
        api.set_provider(ExperimentProvider(away))
        found = ASKS[kind](_begun(), KEY, user(TREATED))
    assert (found.value, found.reason, found.error_code) == (default_of(kind), Reason.ERROR, ErrorCode.GENERAL)


def test_a_service_that_is_not_ready_says_so_and_the_sdk_hears_when_it_is(service: FakeService) -> None:
    heard: list[str] = []
    service.ready = False

    def listen(event: ProviderEvent) -> Callable[[EventDetails], None]:
        return lambda _: heard.append(event.name)

    with client(service.url) as asking:
        for event in (ProviderEvent.PROVIDER_ERROR, ProviderEvent.PROVIDER_READY):
            api.add_handler(event, listen(event))
        api.set_provider(ExperimentProvider(asking))
        evaluated = _begun()
        found = evaluated.get_string_details(KEY, "default", user(TREATED))
        assert (found.value, found.error_code) == ("default", ErrorCode.PROVIDER_NOT_READY)
        service.ready = True
        assert evaluated.get_string_value(KEY, "default", user(TREATED)) == "pia"
        assert evaluated.get_provider_status().name == "READY"
        _until(lambda: heard[-1:] == ["PROVIDER_READY"] and "PROVIDER_ERROR" in heard)


def test_a_provider_that_is_shut_down_is_not_ready(connected: Client) -> None:
    provider = ExperimentProvider(connected)
    provider.shutdown()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its code is checked
        provider.resolve_string_details(KEY, "default", user(TREATED))
    assert getattr(caught.value, "error_code", None) == ErrorCode.PROVIDER_NOT_READY
    connected.assign("42")  # the client is the application's, and stays open


@pytest.mark.parametrize("async_", [False, True])
def test_an_evaluation_by_a_split_tells_of_the_exposure(connected: Client, service: FakeService, async_: bool) -> None:
    evaluated = flags(connected)
    evaluated.add_hooks([ExposureHook(connected, surface="home_card", clock=lambda: AT)])
    kind = "string_async" if async_ else "string"
    for name in (TREATED, CONTROL, OUT):
        ASKS[kind](evaluated, KEY, user(name))
    ASKS[kind](evaluated, "stopped", user(TREATED))
    ASKS[kind](evaluated, "nope", user(TREATED))
    ASKS[kind](evaluated, KEY, user(TREATED, surface="movie_card"))
    assert connected.flush(5)
    told = [(each["experiment"], each["user_id"], each["surface"], each["at"]) for each in service.exposures]
    at = AT.isoformat()
    expected = [(TREATED, "home_card"), (CONTROL, "home_card"), (TREATED, "movie_card")]
    assert told == [(KEY, name, surface, at) for name, surface in expected]
    assert all(each["type"] == "exposure" for each in service.exposures)


def test_an_exposure_without_a_known_surface_is_told_in_the_log_and_the_flag_has_its_value(
    connected: Client, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    evaluated = flags(connected)
    evaluated.add_hooks([ExposureHook(connected)])
    assert evaluated.get_string_value(KEY, "default", user(TREATED)) == "pia"
    assert "give the context an attribute surface" in caplog.text
    assert evaluated.get_string_value(KEY, "default", user(TREATED, surface="sidebar")) == "pia"
    assert "'sidebar' is unknown" in caplog.text
    assert connected.flush(5)
    assert service.exposures == []


def test_a_split_of_another_provider_is_no_exposure(connected: Client, service: FakeService) -> None:
    api.set_provider_and_wait(
        InMemoryProvider({KEY: InMemoryFlag("on", {"on": "pia"}, context_evaluator=_split_elsewhere)})
    )
    evaluated = api.get_client()
    evaluated.add_hooks(
        [ExposureHook(connected, surface="home_card"), SegmentHook(lambda call: pytest.fail(str(call)))]
    )
    assert evaluated.get_string_details(KEY, "default", user(TREATED)).reason == Reason.SPLIT
    assert connected.flush(5)
    assert service.exposures == []


def test_segment_is_told_what_was_viewed() -> None:
    calls: list[Mapping[str, object]] = []
    evaluated = flags(LocalAssignments([LAUNCHED]))
    evaluated.add_hooks([SegmentHook(calls.append, clock=lambda: AT)])
    for name in (TREATED, OUT):
        evaluated.get_boolean_value(KEY, False, user(name))
    viewed = {"experiment_id": KEY, "experiment_name": KEY, "variation_id": "pia", "variation_name": "pia"}
    assert calls == [
        {
            "type": "track",
            "event": "Experiment Viewed",
            "userId": TREATED,
            "timestamp": AT.isoformat(),
            "properties": viewed,
        }
    ]


def test_a_segment_that_fails_does_not_change_the_flag(caplog: pytest.LogCaptureFixture) -> None:
    def fail(call: Mapping[str, object]) -> None:
        raise OSError(f"no network for {call['event']}")

    evaluated = flags(LocalAssignments([LAUNCHED]))
    evaluated.add_hooks([SegmentHook(fail)])
    assert evaluated.get_string_value(KEY, "default", user(TREATED)) == "pia"
    assert "no network" in caplog.text


class FakeSpan:
    """A span that keeps its events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Mapping[str, str]]] = []

    def add_event(self, name: str, attributes: Mapping[str, str]) -> None:
        self.events.append((name, attributes))


def test_a_span_is_told_by_the_semantic_conventions() -> None:
    span = FakeSpan()
    evaluated = flags(LocalAssignments([LAUNCHED]))
    evaluated.add_hooks([TelemetryHook(lambda: span)])
    evaluated.get_string_value(KEY, "default", user(TREATED))
    evaluated.get_string_value("nope", "default", user(TREATED))
    (name, found), (_, failed) = span.events
    assert name == "feature_flag.evaluation"
    assert found == {
        "feature_flag.key": KEY,
        "feature_flag.provider.name": "ab_platform",
        "feature_flag.result.variant": "pia",
        "feature_flag.result.reason": "split",
        "feature_flag.context.id": TREATED,
    }
    assert (failed["feature_flag.result.reason"], failed["error.type"]) == ("error", "flag_not_found")
    assert "'nope' is not launched" in failed["feature_flag.error.message"]


def test_opentelemetry_s_own_span_takes_the_event() -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")
    tracer = sdk.TracerProvider().get_tracer("test")
    evaluated = flags(LocalAssignments([LAUNCHED]))
    evaluated.add_hooks([TelemetryHook()])
    with tracer.start_as_current_span("visit") as span:
        evaluated.get_string_value(KEY, "default", user(TREATED))
    [event] = span.events
    assert event.attributes["feature_flag.result.variant"] == "pia"


def tracked_by(
    connected: Client, name: str, context: EvaluationContext | None, details: TrackingEventDetails | None
) -> None:
    flags(connected).track(name, context, details)
    assert connected.flush(5)


def test_outcomes_are_tracked_as_events_of_the_wire(connected: Client, service: FakeService) -> None:
    context = user(TREATED, experiment=KEY, surface="home_card")
    place_: dict[str, Any] = {"title_id": "t0", "request_id": str(REQUEST), "position": 2}
    shown = event_id(AT, f"{REQUEST}/2")
    tracked_by(connected, "impression", context, TrackingEventDetails(attributes=place_))
    tracked_by(connected, "click", context, TrackingEventDetails(attributes=place_))
    later = AT + timedelta(seconds=9)
    pointing = {"title_id": "t0", "impression_id": str(shown), "at": later.isoformat()}
    tracked_by(connected, "watch", context, TrackingEventDetails(41.5, dict(pointing)))
    common = {"experiment": KEY, "user_id": TREATED, "surface": "home_card", "title_id": "t0"}
    click, watch = event_id(AT, f"{shown}/click"), event_id(later, f"{shown}/watch")
    here, pointed = {"at": AT.isoformat()}, {"impression_id": str(shown)}
    slate = {"request_id": str(REQUEST), "position": 2}
    assert service.stored == {
        str(shown): {"type": "impression", "event_id": str(shown), **common, **here, **slate},
        str(click): {"type": "click", "event_id": str(click), **common, **here, **pointed},
        str(watch): {
            "type": "watch",
            "event_id": str(watch),
            **common,
            **pointed,
            "at": later.isoformat(),
            "watch_seconds": 41.5,
        },
    }


WHOLE: Mapping[str, Any] = {
    "experiment": KEY,
    "surface": "home_card",
    "title_id": "t0",
    "request_id": str(REQUEST),
    "position": 0,
}


@pytest.mark.parametrize("name", ["impression", "click", "watch"])
@pytest.mark.parametrize("missing", ["experiment", "surface", "title_id", "request_id", "position"])
def test_what_is_missing_is_named_in_the_log_and_nothing_is_raised_or_sent(
    connected: Client, service: FakeService, caplog: pytest.LogCaptureFixture, name: str, missing: str
) -> None:
    attributes = {each: value for each, value in WHOLE.items() if each != missing}
    tracked_by(connected, name, user(TREATED), TrackingEventDetails(3.0, attributes))
    [record] = [each for each in caplog.records if each.name.startswith("ab_platform")]
    assert f"tracking '{name}' failed" in record.getMessage()
    assert missing in record.getMessage()
    assert service.seen == []


@pytest.mark.parametrize(
    ("name", "context", "details", "said"),
    [
        ("watch", user(TREATED), TrackingEventDetails(attributes=dict(WHOLE)), "has no value"),
        ("watch", user(TREATED), TrackingEventDetails(float("nan"), dict(WHOLE)), "not finite"),
        ("click", EvaluationContext(), TrackingEventDetails(attributes=dict(WHOLE)), "targeting_key"),
        ("click", None, None, "targeting_key"),
        ("click", user(TREATED), TrackingEventDetails(attributes={**WHOLE, "at": "yesterday"}), "must be ISO 8601"),
        ("click", user(TREATED), TrackingEventDetails(attributes={**WHOLE, "surface": "sidebar"}), "is unknown"),
        ("click", user(TREATED), TrackingEventDetails(attributes={**WHOLE, "position": True}), "0 or more"),
        ("click", user(TREATED), TrackingEventDetails(attributes={**WHOLE, "impression_id": "x"}), "is a UUID"),
        (
            "impression",
            user(TREATED),
            TrackingEventDetails(attributes={**WHOLE, "request_id": "550e8400-e29b-41d4-a716-446655440000"}),
            "must be of version 7",
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_log_and_nothing_is_raised_or_sent(
    connected: Client,
    service: FakeService,
    caplog: pytest.LogCaptureFixture,
    name: str,
    context: EvaluationContext | None,
    details: TrackingEventDetails | None,
    said: str,
) -> None:
    tracked_by(connected, name, context, details)
    assert said in caplog.text
    assert service.seen == []


def test_names_of_other_systems_are_left_alone(
    connected: Client, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    tracked_by(connected, "purchase", user(TREATED), TrackingEventDetails(9.9))
    assert caplog.records == []
    assert service.seen == []


def test_assignments_in_process_track_through_a_client_that_is_given(
    connected: Client, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    local = LocalAssignments([LAUNCHED])
    for given in (None, connected):
        api.set_provider_and_wait(ExperimentProvider(local, client=given, clock=lambda: AT))
        api.get_client().track("click", user(TREATED), TrackingEventDetails(attributes=dict(WHOLE)))
    assert caplog.text.count("no client to send with") == 1
    assert connected.flush(5)
    assert len(service.stored) == 1


def _split_elsewhere(flag: InMemoryFlag[str], context: EvaluationContext) -> Any:

    return FlagResolutionDetails("pia", reason=Reason.SPLIT, variant="on")


def _begun() -> OpenFeatureClient:
    """Return a client whose provider has tried to begin, in vain or not."""
    asked = api.get_client()
    _until(lambda: asked.get_provider_status().name != "NOT_READY")
    return asked


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "it did not become true in 10 s"
        time.sleep(0.01)
