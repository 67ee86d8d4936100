"""The conclusion of a diagnosis in one sentence, and the next step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ab_platform.diagnosis.found import OUTSIDE_LAYER, OUTSIDE_TRAFFIC, Diagnosis, Loss, Place

MOSTLY = 0.5
"""Share of the wrong users above which the segments that have them are named."""


def conclusion(found: Diagnosis) -> str:
    """Say what is wrong, or that nothing is, or that it is not known."""
    match found.verdict:
        case "sound":
            assert found.detectable_loss is not None
            return (
                f"split is sound: all {_users(found.users)} are in the arm of their hash, and each arm has its share; "
                f"a loss of {_percent(found.detectable_loss)} of an arm's users would have been found"
            )
        case "unknown":
            return f"unknown: too few users, {found.users:,}{_needed(found)}"
        case "wrong assignment":
            also = f"; also {_lost(found.loss)}" if found.loss else ""
            return f"wrong assignment: {_wrong(found)}{also}"
        case "lost logging":
            assert found.loss is not None
            return _lost(found.loss)


def next_step(found: Diagnosis) -> str:
    """Say what to do."""
    key = found.experiment
    match found.verdict:
        case "sound":
            return f"read the lifts: `abp analyze {key}`"
        case "unknown":
            return "wait for more users, then run this again; until then no lift can be trusted"
        case "wrong assignment":
            also = f"; then {_mend_logging(found.loss)}" if found.loss else ""
            return f"{_mend_assignment(found)}{also}"
        case "lost logging":
            assert found.loss is not None
            return _mend_logging(found.loss)


def _users(count: int) -> str:
    return "1 exposed user" if count == 1 else f"{count:,} exposed users"


def _needed(found: Diagnosis) -> str:
    if found.users_needed is None:
        return "; fewer than 2 arms may have users, so there is no ratio"
    return f"; from {found.users_needed:,} on a loss of half of an arm's users is found"


def _wrong(found: Diagnosis) -> str:
    parts = []
    if found.wrong_users:
        share = found.wrong_users / found.users
        verb = "is" if found.wrong_users == 1 else "are"
        parts.append(
            f"{found.wrong_users:,} of {_users(found.users)} ({_percent(share)}) {verb} not where their hash puts them"
            f"{_kinds(found)}{_mostly(found)}"
        )
    if found.mixed_users:
        verb = "user was" if found.mixed_users == 1 else "users were"
        parts.append(f"{found.mixed_users:,} {verb} seen in several arms")
    return ", and ".join(parts)


def _percent(share: float) -> str:
    return f"{100.0 * share:.2g} %" if share < 0.1 else f"{100.0 * share:.0f} %"


def _kinds(found: Diagnosis) -> str:
    """Tell apart who is in another arm and who should be in none, where there are both or only the latter."""
    totals = dict.fromkeys(("another arm's", OUTSIDE_LAYER, OUTSIDE_TRAFFIC), 0)
    for moved in found.moved:
        totals[moved.hashed if moved.hashed in totals else "another arm's"] += moved.users
    kinds = {kind: users for kind, users in totals.items() if users}
    if set(kinds) == {"another arm's"}:
        return ""
    return f" ({', '.join(f'{users:,} {kind}' for kind, users in kinds.items())})"


def _mostly(found: Diagnosis) -> str:
    mostly = _where_mostly(found)
    if mostly is None:
        return ""
    share, where = mostly
    return f", {_percent(share)} of them on {where}"


def _where_mostly(found: Diagnosis) -> tuple[float, str] | None:
    """Return the share and place of most wrong users, of the dimension where they are the densest, if there is one."""
    dimensions: dict[str, list[Place]] = {}
    for place in found.places:
        dimensions.setdefault(place.dimension, []).append(place)
    most = {
        name: places
        for name, places in dimensions.items()
        if sum(each.wrong for each in places) > MOSTLY * found.wrong_users
    }
    if not most:
        return None
    name, places = max(most.items(), key=lambda item: _density(item[1]))
    where = f"{name}={_listed([each.segment for each in places])}"
    return sum(each.wrong for each in places) / found.wrong_users, where


def _density(places: Sequence[Place]) -> float:
    return sum(each.wrong for each in places) / sum(each.users for each in places)


def _listed(segments: Sequence[str]) -> str:
    return " and ".join(segments)


def _lost(loss: Loss) -> str:
    where = f" on {loss.dimension}={_listed(loss.segments)}" if loss.dimension else ""
    later = f", of whom about {_about(loss.seen_later)} were seen later" if loss.seen_later else ""
    cause = "lost logging, or an arm that keeps users away," if loss.only_surface else "lost logging"
    return f"{cause} in arm {loss.arm}{where}{_when(loss)}: about {_about(loss.missing)} users missing{later}"


def _when(loss: Loss) -> str:
    if loss.since is None:
        return ""
    if loss.until is None:
        return f" from {loss.since} on"
    return f" on {loss.since}" if loss.since == loss.until else f" from {loss.since} to {loss.until}"


def _about(number: float) -> str:
    return f"{max(round(number), 1):,}"


def _mend_assignment(found: Diagnosis) -> str:
    example = next((moved.examples[0] for moved in found.moved if moved.examples), None)
    share = found.wrong_users / found.users
    spread = 4.0 * math.sqrt(found.by_chance * (1.0 - found.by_chance) / found.users)
    salt = (
        f"that many are what an unrelated hash would give ({_percent(found.by_chance)}): compare the salts; "
        if found.wrong_users and abs(share - found.by_chance) < spread
        else ""
    )
    mostly = _where_mostly(found)
    look = f"look at what serves {mostly[1]}; " if mostly else ""
    told = f"`abp assign {found.experiment} {example}` shows where a user belongs; " if example else ""
    return f"{salt}{look}{told}mend it and relaunch under a new key: no lift of this one can be trusted"


def _mend_logging(loss: Loss) -> str:
    where = f" on {loss.dimension}={_listed(loss.segments)}" if loss.dimension else ""
    if loss.only_surface:
        return (
            f"compare what was served for arm {loss.arm}{where} with its impressions in the log; if none are missing, "
            f"the arm itself changes who gets there, and lifts of that surface compare different users"
        )
    return (
        f"compare what was served for arm {loss.arm}{where}{_when(loss)} with its impressions in the log; "
        "until the missing events are recorded, no lift can be trusted"
    )
