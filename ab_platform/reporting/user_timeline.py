"""What one user was shown and did, as HTML: since when they count, what is out of the ordinary, slate by slate."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date
from html import escape
from itertools import groupby

from ab_platform.lineage import Launch
from ab_platform.metrics import SURFACE_LABELS
from ab_platform.reporting.figures import moment
from ab_platform.reporting.placement import Place
from ab_platform.user_story import SlateShown, TitleShown, UserExposure, UserStory

FALLBACK = "popularity"

_COMMAND = re.compile(r"`([^`]+)`")
_CODE = r"<code>\1</code>"


def remarks(story: UserStory, launch: Launch, where: Place) -> tuple[str, ...]:
    """Say what is out of the ordinary with this user under this experiment, and what follows from it.

    Args:
        story: what is stored.
        launch: the experiment.
        where: the user's place in it.
    """
    return tuple(_remarks(story, launch, where))


def _remarks(story: UserStory, launch: Launch, where: Place) -> Iterator[str]:
    if story.erased_at is not None:
        yield (
            f"Erased on {moment(story.erased_at)}: nothing from before is stored, and nothing of it is taken again. "
            "Where the user falls is computed from the id alone."
        )
    elif not story.known and not story.exposures and not story.slates:
        yield (
            f"Unknown: nobody of this id is in data set {launch.experiment.data.dataset}, and none was exposed. See "
            "that it is the id that the data set has. Where it would fall is computed from the id alone."
        )
    elif where.arm is not None and not story.exposures:
        yield "In, but never served yet: no figure of the experiment counts this user."
    if story.mixed_at is not None:
        yield f"Seen in several arms, first on {moment(story.mixed_at)}: from that day on no figure counts this user."
    wrong = sorted({each.arm for each in story.exposures} - {where.arm_at_full_traffic})
    if wrong:
        yield (
            f"Exposed to {', '.join(wrong)}, which is not where the user falls: whoever served it went another way "
            f"than the salts. Run `abp srm diagnose {launch.experiment.key}` to see how many users that met."
        )
    elif story.exposures and where.arm is None:
        yield "Exposed when the traffic was higher; at the traffic of now the user is not in."
    if launch.state == "stopped":
        at = "" if launch.stopped_at is None else f" on {moment(launch.stopped_at)}"
        yield f"The experiment was stopped{at}: its arms serve nobody any more."
    if launch.events_deleted_at is not None:
        yield (
            f"Raw events were deleted on {moment(launch.events_deleted_at)}, as the retention rule has it: slates, "
            "clicks and watches are gone. The exposure stays, and so do the figures that counted them."
        )
    if story.astray:
        what = "click or watch points" if story.astray == 1 else "clicks and watches point"
        yield f"{story.astray:,} {what} to no impression that arrived: impressions were lost on the way."


def remarked(sentences: Sequence[str]) -> str:
    """List remarks so that they are seen first; words in backticks are commands."""
    listed = "".join(f"<li>{_COMMAND.sub(_CODE, escape(each, quote=False))}</li>" for each in sentences)
    return f'<section class="abp" role="status"><ul class="remarks">{listed}</ul></section>\n' if listed else ""


def since(story: UserStory) -> str:
    """Say since when the user counts, surface by surface."""
    if not story.exposures:
        return ""
    return f"Counts since {'; '.join(_exposure(each) for each in story.exposures)}."


def timeline(story: UserStory, *, first: int) -> str:
    """Lay the slates of a page out by day, the newest first.

    Args:
        story: what is stored.
        first: number of the first of them, counted from 1.
    """
    if not story.slates:
        return ""
    last = first + len(story.slates) - 1
    days = groupby(story.slates, key=lambda slate: slate.at.astimezone(UTC).date())
    told = "".join(_day(day, list(slates)) for day, slates in days)
    return (
        f'<section class="abp story" aria-label="Slates, the newest first">\n<p class="quiet">Slates {first:,} to '
        f"{last:,} of {story.slates_in_all:,}, the newest first; times in UTC.</p>\n{told}</section>\n"
    )


def _exposure(each: UserExposure) -> str:
    return f"{moment(each.at)} on {SURFACE_LABELS[each.surface]}"


def _day(day: date, slates: list[SlateShown]) -> str:
    listed = "".join(f"<li>{_slate(slate)}</li>\n" for slate in slates)
    return f'<h3>{day:%A}, {day.isoformat()}</h3>\n<ol class="slates">\n{listed}</ol>\n'


def _slate(slate: SlateShown) -> str:
    at = slate.at.astimezone(UTC)
    took = "" if slate.latency_ms is None else f", in {slate.latency_ms:,.0f} ms"
    by = "the fallback, popularity" if slate.served_by == FALLBACK and slate.arm != FALLBACK else slate.served_by
    titles = "".join(_title(each) for each in slate.titles)
    return (
        f'<p class="slate"><time datetime="{at.isoformat()}">{at:%H:%M:%S}</time> '
        f"<b>{escape(SURFACE_LABELS[slate.surface])}</b> <small>made by {escape(by)}{took}</small></p>"
        f'<ol class="titles">{titles}</ol>'
    )


def _title(each: TitleShown) -> str:
    name = escape(each.title or f"title {each.title_id}")
    done = "".join(f" <em>{escape(words)}</em>" for words in _done(each))
    kind = ' class="done"' if done else ""
    return f'<li value="{each.position + 1}"{kind} title="{escape(each.title_id)}">{name}{done}</li>'


def _done(each: TitleShown) -> Iterator[str]:
    if each.clicks:
        yield "clicked" if each.clicks == 1 else f"clicked {each.clicks} times"
    if each.watch_seconds is not None:
        yield f"watched {lasting(each.watch_seconds)}"


def lasting(seconds: float) -> str:
    """Print how long something lasted, with two units at most."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    minutes, hours = whole // 60, whole // 3600
    return f"{minutes} min {whole % 60:02d} s" if hours == 0 else f"{hours} h {minutes % 60:02d} min"
