"""The service's routes: what is asked, handed to the worker, and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from typing import Literal

from fastapi import APIRouter, Request, Security
from fastapi.security import HTTPBearer

from ab_platform.access import Token
from ab_platform.api import wire
from ab_platform.api.calls import JsonRoute, ProblemError, call_of
from ab_platform.api.events import kept
from ab_platform.events import event_id
from ab_platform.service.roster import Standing
from ab_platform.service.worker import Served, Worker
from ab_platform.serving import Request as SlateRequest

BEARER = HTTPBearer(description="`abp_<id>_<secret>`, made by `abp token create`", auto_error=False)

PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {"model": wire.Problem, "description": description}
    for status, description in {
        400: "not JSON",
        401: "no valid token",
        403: "the token has another scope",
        404: "no such experiment, or not the token's",
        413: "over 4 MiB",
        415: "not application/json",
        422: "another shape than documented",
        429: "above the client's rate",
        503: "cannot be answered now; nothing was taken",
    }.items()
}

router = APIRouter(prefix="/v1", route_class=JsonRoute, responses=PROBLEMS)


@router.post("/assignments", dependencies=[Security(BEARER, scopes=["assign"])])
async def assignments(asked: wire.AssignmentsAsked, request: Request) -> wire.Assignments:
    """Say which arm users are in. It needs no database: the same salts and ids give the same arms anywhere."""
    call = call_of(request)
    if (asked.user_id is None) == (asked.user_ids is None):
        raise ProblemError(422, "invalid", "send user_id or user_ids, one of them")
    users = asked.user_ids or [asked.user_id or ""]
    chosen = call.worker.roster.chosen(asked.experiments, token=call.token)
    if len(users) * len(chosen) > wire.MOST_ASSIGNMENTS:
        raise ProblemError(
            422, "invalid", f"{len(users)} users in {len(chosen)} experiments are too many; ask in parts"
        )
    columns = [_column(call.worker, users, standing) for standing in chosen]
    return wire.Assignments([one for row in zip(*columns, strict=True) for one in row])


def _column(worker: Worker, users: Sequence[str], standing: Standing) -> list[wire.Assigned]:
    """Return every user's arm in one experiment."""
    key, arms = standing.key, standing.launch.experiment.arms
    why_none: Literal["not_in", "stopped"] = "not_in" if standing.running else "stopped"
    return [
        wire.Assigned(user, key, None, None, why_none)
        if place < 0
        else wire.Assigned(user, key, arms[place].name, arms[place].control, "split")
        for user, place in zip(users, worker.assign(users, standing), strict=True)
    ]


@router.post("/recommendations", dependencies=[Security(BEARER, scopes=["recommend"])])
async def recommendations(asked: wire.SlateAsked, request: Request) -> wire.ServedSlate:
    """Make the slate to show: by the user's arm, or by popularity where that fails or takes too long."""
    call = call_of(request)
    wanted = SlateRequest(asked.user_id, asked.surface, asked.at or call.at, asked.title_id)
    served = await call.worker.recommend(wanted, experiment=asked.experiment, token=call.token, now=call.at)
    request.app.state.meters.served(served)
    return _slate(served, asked.user_id, call.worker, (perf_counter() - call.started) * 1000.0)


def _slate(served: Served, user_id: str, worker: Worker, latency_ms: float) -> wire.ServedSlate:
    slate, standing = served.made.slate, served.standing
    titles = worker.titles.get(standing.launch.experiment.data.dataset, {})
    at = slate.request.at
    places = [
        wire.Place(position, title_id, titles.get(title_id), event_id(at, f"{slate.slate_id}/{position}"))
        for position, title_id in enumerate(slate.title_ids)
    ]
    return wire.ServedSlate(
        request_id=slate.slate_id,
        experiment=standing.key,
        user_id=user_id,
        surface=slate.request.surface,
        at=at,
        arm=slate.arm,
        served_by=slate.served_by,
        model_version=served.model_version,
        propensity=None if slate.arm is None else standing.propensities[slate.arm],
        latency_ms=round(latency_ms, 3),
        slate=places,
    )


@router.post("/events", dependencies=[Security(BEARER, scopes=["events"])])
async def events(asked: wire.EventsSent, request: Request) -> wire.EventsKept:
    """Take events; each is on disk before the reply, and a second time the same one is a duplicate."""
    call = call_of(request)
    items = await kept(call.worker, asked, token=call.token, at=call.at)
    counts = Counter(item.status for item in items)
    request.app.state.meters.kept(asked, items, at=call.at)
    return wire.EventsKept(counts["stored"], counts["duplicate"], counts["spooled"], counts["rejected"], items)


@router.get("/experiments", dependencies=[Security(BEARER, scopes=["read"])])
async def experiments(request: Request) -> wire.Experiments:
    """List the experiments that the token is for."""
    call = call_of(request)
    every = call.worker.roster.experiments.values()
    return wire.Experiments([_shown(each) for each in every if _allows(call.token, each)])


def _allows(token: Token | None, standing: Standing) -> bool:
    return token is None or token.allows(standing.key)


def _shown(standing: Standing) -> wire.ExperimentShown:
    launch = standing.launch
    experiment = launch.experiment
    arms = [
        wire.ArmShown(arm.name, arm.control, arm.weight, arm.recommender, launch.artifacts[arm.name])
        for arm in experiment.arms
    ]
    return wire.ExperimentShown(
        experiment.key,
        launch.state,
        experiment.layer,
        list(experiment.surfaces),
        launch.traffic,
        standing.clock,
        launch.starts_at,
        launch.ends_at,
        arms,
    )


@router.post("/erasures", dependencies=[Security(BEARER, scopes=["admin"])])
async def erasures(asked: wire.ErasureAsked, request: Request) -> wire.Erased:
    """Delete every row of a user; what happened before is not taken again. The id is in no path, so in no log."""
    call = call_of(request)
    return wire.Erased(await call.worker.erase(asked.user_id, at=call.at))
