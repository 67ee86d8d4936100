"""Whether the data behind the table may be believed: rules over counts of user-days, beside the checks of the split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from ab_platform.events import Surface
from ab_platform.lineage import Change, Launch, phases
from ab_platform.metrics import SURFACE_LABELS
from ab_platform.results import Check, CheckName, CheckStatus, Look, SampleRatioRow
from ab_platform.statistics.decision import MOST_MIXED
from ab_platform.storage.store import DayCount, ExposedOn

SOME_MIXED = 0.001
"""Share of users seen in several arms that is told of, as something moves them; up to it, shared devices may."""

LATE, LOST = timedelta(hours=3), timedelta(hours=24)
"""Time without events that is told of, as two hourly roll-ups may fail unseen; and that means events are lost."""

FAR_APART = 20.0
"""Mean distances between the newest events of an arm's user-days beyond which a pause is no chance: e^-20."""

SOME_FALLBACKS, MANY_FALLBACKS = 0.01, 0.05
FALLBACKS_APART, APART_ERRORS = 0.02, 4.0
"""How much more of one arm's slates than of another's popularity may serve, beyond so many standard errors."""

LEAST_A_DAY = 10
"""Users a day below which a day without any is no surprise."""

MANY_DAYS = 0.2
"""Share of days without events from which on the rest cannot stand for the whole."""

LEAST_USERS = 30
"""Users of an arm and surface below which their impressions are not compared."""

FEWER, FAR_FEWER = 0.2, 0.5
"""How much fewer impressions a user one arm may have than another."""


@dataclass(frozen=True)
class Data:
    """What the checks look at.

    Attributes:
        launch: the experiment.
        changes: its log, for the days without traffic.
        look: what holds for all rows of the analysis.
        counts: of user-days, by surface, arm and day.
        exposed: users by surface, arm and day of their exposure.
        splits: the checks of the split.
    """

    launch: Launch
    changes: Sequence[Change]
    look: Look
    counts: Sequence[DayCount]
    exposed: Sequence[ExposedOn]
    splits: Sequence[SampleRatioRow]

    @property
    def arms(self) -> tuple[str, ...]:
        """Return the arms that get users, control first."""
        experiment = self.launch.experiment
        return tuple(arm.name for arm in (experiment.control, *experiment.treatments) if arm.weight > 0.0)

    def users(self, surface: Surface, arm: str | None = None) -> int:
        """Return the users exposed on a surface, of one arm or of all."""
        return sum(each.users for each in self.exposed if each.surface == surface and arm in (None, each.arm))


def checks(data: Data) -> tuple[Check, ...]:
    """Make every check; each has at least one row, also where it is healthy."""
    found = [_mixed_users(data), *_logging_delay(data), *_fallbacks(data), *_missing_data(data), *_no_data(data)]
    return tuple(found)


def _mixed_users(data: Data) -> Check:
    mixed, users = data.look.mixed_users, data.look.users + data.look.mixed_users
    share = mixed / max(users, 1)
    status: CheckStatus = "unhealthy" if share > MOST_MIXED else "warning" if share > SOME_MIXED else "healthy"
    told = (
        f"{mixed:,} of {users:,} users ({_percent(share)}) were seen in several arms and are left out; "
        f"at most {_percent(SOME_MIXED)} may be"
    )
    return _check(
        data,
        "mixed_users",
        "all",
        status,
        share,
        told,
        "find out how they changed arms: clients must log the arm that they were served, under one user id",
    )


def _logging_delay(data: Data) -> Iterator[Check]:
    yield _newest_event(data)
    for arm in data.arms:
        found = _behind(data, arm)
        if found is not None:
            yield found


def _newest_event(data: Data) -> Check:
    """Bound the delay by what is stored: arrivals are not, so neither is when the analysis could have seen more."""
    newest = data.look.watermark
    begin = datetime.combine(data.look.as_of, time(), UTC)
    end = min(begin + timedelta(days=1), _end(data.launch))
    least, most = max(min(begin, end) - newest, timedelta()), max(end - newest, timedelta())
    status: CheckStatus = "unknown"
    if most <= LATE:
        status = "healthy"
    elif least > LATE:
        status = "unhealthy" if least > LOST else "warning"
    told = (
        f"the newest event that counts is of {newest:%Y-%m-%d %H:%M} UTC, {_duration(most)} before the end of what is "
        f"analysed; at most {_duration(LATE)} is required"
    )
    step = "see whether the clients' events get to the store: `abp status`, and the log of the service"
    if status == "unknown":
        told += "; when events arrive is not stored, so a day that is not over looks like one whose events are late"
        step = f"analyze again once {data.look.as_of} is over"
    return _check(data, "logging_delay", "all", status, most.total_seconds(), told, step)


def _behind(data: Data, arm: str) -> Check | None:
    """Tell an arm whose newest event is older than chance makes it, while other arms' events go on."""
    days = [each for each in data.counts if each.arm == arm]
    if not days:
        return None
    lag = data.look.watermark - max(each.last_at for each in days)
    spacing = timedelta(days=len({each.day for each in days})) / sum(each.users for each in days)
    if lag <= max(LATE, FAR_APART * spacing):
        return None
    told = (
        f"the newest event of {arm} is {_duration(lag)} older than that of the other arms; "
        f"at most {_duration(max(LATE, FAR_APART * spacing))} may be chance"
    )
    step = f"see whether {arm} is served and its events are sent: `abp status`, and the log of the service"
    return _check(data, "logging_delay", arm, "unhealthy" if lag > LOST else "warning", lag.total_seconds(), told, step)


def _fallbacks(data: Data) -> Iterator[Check]:
    slates = {arm: sum(each.slates for each in data.counts if each.arm == arm) for arm in data.arms}
    fell_back = {arm: sum(each.fallback_slates for each in data.counts if each.arm == arm) for arm in data.arms}
    shares = {arm: fell_back[arm] / slates[arm] for arm in data.arms if slates[arm]}
    for arm in data.arms:
        if arm not in shares:
            yield _check(data, "fallbacks", arm, "unknown", None, f"no slate of {arm} is stored", _NOBODY)
            continue
        apart = max((_beyond(shares, slates, arm, other) for other in shares if other != arm), default=0.0)
        told = (
            f"popularity made {_percent(shares[arm])} of the slates of {arm}, {fell_back[arm]:,} of {slates[arm]:,}; "
            f"at most {_percent(SOME_FALLBACKS)} may be, and not more than of another arm's"
        )
        step = f"find out why {arm} fails or is late: the log of the service names each error"
        yield _check(data, "fallbacks", arm, _fallen_back(shares[arm], apart), shares[arm], told, step)


def _fallen_back(share: float, apart: float) -> CheckStatus:
    if share > MANY_FALLBACKS or apart > FALLBACKS_APART:
        return "unhealthy"
    return "warning" if share > SOME_FALLBACKS else "healthy"


def _beyond(shares: dict[str, float], slates: dict[str, int], arm: str, other: str) -> float:
    """Return how much more of an arm's slates than of another's fell back, 0 where it may be chance."""
    pooled = (shares[arm] * slates[arm] + shares[other] * slates[other]) / (slates[arm] + slates[other])
    error = math.sqrt(pooled * (1.0 - pooled) * (1.0 / slates[arm] + 1.0 / slates[other]))
    apart = shares[arm] - shares[other]
    return apart if apart > APART_ERRORS * error else 0.0


def _missing_data(data: Data) -> Iterator[Check]:
    for surface in data.launch.experiment.surfaces:
        if not data.users(surface):
            continue
        yield _missing_days(data, surface)
        for arm in data.arms:
            found = _missing_users(data, surface, arm) or _missing_impressions(data, surface, arm)
            if found is not None:
                yield found


def _missing_days(data: Data, surface: Surface) -> Check:
    """Look for whole days without an event; the last day may not be over."""
    of_surface = [each for each in data.counts if each.surface == surface]
    seen = {each.day for each in of_surface}
    days = [day for day in _days_served(data) if day < data.look.as_of]
    missing = [day for day in days if day not in seen]
    share = len(missing) / len(days) if days else None
    # Of the days that have events: a hole must not make itself look less surprising.
    a_day = sum(each.users for each in of_surface) / max(len(seen), 1)
    status = _days_missed(share, a_day)
    where = SURFACE_LABELS[surface]
    told = f"{where} has events on {len(days) - len(missing)} of the {len(days)} days before {data.look.as_of}"
    if missing:
        told += f", none on {', '.join(map(str, missing[:3]))}{' and others' if len(missing) > 3 else ''}"
    if status == "unknown" and missing:
        told += f"; with {a_day:.2g} users a day that may be chance"
    step = f"find the events of those days and send them again; then `abp analyze {data.look.experiment}`"
    if share is None:
        step = "wait until the first whole day is over"
    return _check(data, "missing_data", surface, status, share, f"{told}; every day must have some", step)


def _days_missed(share: float | None, a_day: float) -> CheckStatus:
    if share == 0.0:
        return "healthy"
    if share is None or a_day < LEAST_A_DAY:
        return "unknown"
    return "unhealthy" if share > MANY_DAYS else "warning"


def _missing_users(data: Data, surface: Surface, arm: str) -> Check | None:
    """Tell by how many users an arm falls short where the split alarms: their impressions may never have come."""
    split = next((each for each in data.splits if each.scope == surface and each.alarm), None)
    if split is None or arm not in split.arms:
        return None
    place = split.arms.index(arm)
    found, expected = split.counts[place], split.expected[place]
    if found >= expected:
        return None
    told = (
        f"{arm} has {expected - found:,.0f} users fewer on {SURFACE_LABELS[surface]} than its weight promises, "
        f"{_percent(1.0 - found / expected)} of them, and the split alarms: their impressions were not logged, "
        "or they got another arm"
    )
    step = f"find who is missing: `abp srm diagnose {data.look.experiment}`"
    return _check(data, "missing_data", f"{surface} {arm}", "unhealthy", 1.0 - found / expected, told, step)


def _missing_impressions(data: Data, surface: Surface, arm: str) -> Check | None:
    """Tell an arm whose users have far fewer impressions each than those of the arm that has the most."""
    per_user = {
        each: sum(one.impressions for one in data.counts if (one.surface, one.arm) == (surface, each)) / users
        for each in data.arms
        if (users := data.users(surface, each)) >= LEAST_USERS
    }
    most = max(per_user, key=lambda each: per_user[each], default=None)
    if most is None or arm not in per_user or not per_user[most]:
        return None
    fewer = 1.0 - per_user[arm] / per_user[most]
    if fewer <= FEWER:
        return None
    told = (
        f"a user of {arm} has {per_user[arm]:.3g} impressions on {SURFACE_LABELS[surface]}, {_percent(fewer)} fewer "
        f"than the {per_user[most]:.3g} of one of {most}; at most {_percent(FEWER)} fewer is required"
    )
    step = f"find out whether all impressions of {arm} are logged, or its users are really served less"
    status: CheckStatus = "unhealthy" if fewer > FAR_FEWER else "warning"
    return _check(data, "missing_data", f"{surface} {arm}", status, fewer, told, step)


_NOBODY = "see whether the arm is served there: `abp status`, and the log of the service"


def _no_data(data: Data) -> Iterator[Check]:
    experiment = data.launch.experiment
    weights = {arm.name: arm.weight for arm in experiment.arms}
    empty = [surface for surface in experiment.surfaces if not data.users(surface)]
    for surface in empty:
        told = f"no user was exposed on {SURFACE_LABELS[surface]}; every surface of the experiment must have some"
        yield _check(data, "no_data", surface, "unhealthy", 1.0, told, _NOBODY)
    alone = [
        (surface, arm)
        for surface in experiment.surfaces
        for arm in data.arms
        if surface not in empty and not data.users(surface, arm)
    ]
    for surface, arm in alone:
        told = f"no user of {arm} was exposed on {SURFACE_LABELS[surface]}; every arm must have some"
        # A handful of users may all be of one arm by chance.
        chance = data.users(surface) * weights[arm] < LEAST_A_DAY
        yield _check(data, "no_data", f"{surface} {arm}", "warning" if chance else "unhealthy", 1.0, told, _NOBODY)
    if not empty and not alone:
        told = "every arm has users on every surface"
        yield _check(data, "no_data", "all", "healthy", 0.0, told, None)


def _days_served(data: Data) -> list[date]:
    """Return the days of the experiment, up to the last that counts, on which new users were let in."""
    steps = phases(data.launch, data.changes)
    last = min(data.look.as_of, (_end(data.launch) - timedelta(microseconds=1)).date())
    days = (steps[0].since + timedelta(days=number) for number in range((last - steps[0].since).days + 1))
    return [day for day in days if next(step for step in reversed(steps) if step.since <= day).traffic > 0.0]


def _end(launch: Launch) -> datetime:
    return min(launch.ends_at, launch.stopped_at or launch.ends_at).astimezone(UTC)


def _check(
    data: Data, name: CheckName, scope: str, status: CheckStatus, value: float | None, told: str, step: str | None
) -> Check:
    next_step = None if status == "healthy" else step
    return Check(data.look.experiment, data.look.as_of, name, scope, status, value, told, next_step)


def _percent(share: float) -> str:
    return f"{100.0 * share:.2g} %"


def _duration(length: timedelta) -> str:
    hours = length.total_seconds() / 3600.0
    if hours >= 48.0:
        return f"{hours / 24.0:.0f} days"
    return f"{hours:.0f} h" if hours >= 1.0 else f"{60.0 * hours:.0f} min"
