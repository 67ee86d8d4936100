"""Where one user falls, as two rails of 10,000 buckets: the layer's decide whether, the experiment's which arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from ab_platform.assignment import BUCKETS, Placement
from ab_platform.experiment import Experiment
from ab_platform.reporting.charts.palette import arm_colours


@dataclass(frozen=True)
class Place:
    """A user's place in an experiment.

    Attributes:
        experiment: the definition.
        traffic: share of its users who are in.
        found: both buckets, and the arm at that traffic.
    """

    experiment: Experiment
    traffic: float
    found: Placement

    @property
    def arm(self) -> str | None:
        """Return the arm that the user gets; None for who is not in."""
        return None if self.found.arm_index is None else self.experiment.arms[self.found.arm_index].name

    @property
    def arm_at_full_traffic(self) -> str | None:
        """Return the arm that the user would get were everybody in; None for whom the experiment does not own."""
        if self.found.arm_bucket is None:
            return None
        whole = zip(self.experiment.arms, self.experiment.ranges(1.0), strict=True)
        return next((arm.name for arm, span in whole if _within(self.found.arm_bucket, span)), None)


def place(experiment: Experiment, user_id: str, *, traffic: float) -> Place:
    """Place a user.

    Args:
        experiment: the definition.
        user_id: the user, as the platform knows them.
        traffic: share of the experiment's users who are in.
    """
    return Place(experiment, traffic, experiment.place(user_id, experiment.ranges(traffic)))


def verdict(where: Place) -> str:
    """Say in a sentence what the user gets."""
    if where.arm is not None:
        return f"In arm {where.arm}"
    return "Not in" if not where.found.in_layer else "Not in at this traffic"


def layer_words(where: Place) -> str:
    """Say why the layer lets the user in, or not."""
    experiment, (low, high) = where.experiment, where.experiment.layer_buckets
    falls = f"The user falls into bucket {where.found.layer_bucket:,} of layer {experiment.layer}"
    owned = "all of it" if high - low == BUCKETS else f"{low:,} to {high - 1:,}"
    inside = "so the user is one of its own" if where.found.in_layer else "so the user is not one of its own"
    return f"{falls}. {experiment.key} owns {owned}, {inside}."


def arm_words(where: Place) -> str:
    """Say which arm the user gets and why, or why none."""
    bucket = where.found.arm_bucket
    if bucket is None:
        return "Which arm is not asked: that is for users whom the experiment owns."
    falls = f"By the experiment's own salt the user falls into bucket {bucket:,}"
    if where.arm is not None:
        return f"{falls}, which is {where.arm}'s."
    theirs = where.arm_at_full_traffic
    return (
        f"{falls}, which is {theirs}'s, but at a traffic of {100 * where.traffic:g} % not yet: a ramp widens each "
        "arm's range at its end and moves nobody."
    )


def picture(where: Place) -> str:
    """Draw both rails, the user's bucket marked on each, with the words that say the same."""
    owned = where.experiment.layer_buckets
    own = _span(owned, "own", where.experiment.key)
    layer = _rail("Is the user in?", own, where.found.layer_bucket, layer_words(where))
    arms = _rail("Which arm?", "".join(_arms(where)), where.found.arm_bucket, arm_words(where))
    said = f'<p class="verdict"><strong>{escape(verdict(where))}</strong></p>'
    return f'<section class="abp place" aria-label="Where the user falls">{said}\n{layer}{arms}</section>\n'


def _arms(where: Place) -> Iterator[str]:
    """Yield each arm's range of now, and what a ramp would add to it."""
    experiment = where.experiment
    order = [experiment.control.name, *(arm.name for arm in experiment.treatments)]
    colours = dict(zip(order, arm_colours(len(order)), strict=True))
    ranges = zip(experiment.arms, experiment.ranges(where.traffic), experiment.ranges(1.0), strict=True)
    for arm, now, whole in ranges:
        yield _span(now, "arm", arm.name, colour=colours[arm.name])
        yield _span((now[1], whole[1]), "later", "", colour=colours[arm.name])


def _rail(title: str, spans: str, bucket: int | None, words: str) -> str:
    here = "" if bucket is None else f'<span class="here" style="left:{_percent(bucket + 0.5)}"></span>'
    number = "" if bucket is None else f'<span class="bucket" style="{_label_at(bucket)}">{bucket:,}</span>'
    return (
        f'<div class="rail-of"><h3>{title}</h3>\n<div class="rail" role="img" aria-label="{escape(words)}">'
        f"{spans}{here}{number}</div>\n<p>{escape(words)}</p></div>\n"
    )


def _span(buckets: tuple[int, int], kind: str, name: str, *, colour: str = "") -> str:
    low, high = buckets
    if low == high:
        return ""
    tint = f";--arm:{colour}" if colour else ""
    style = f"left:{_percent(low)};width:{_percent(high - low)}{tint}"
    return f'<span class="{kind}" style="{style}" title="{escape(_told(buckets, kind, name))}">{escape(name)}</span>'


def _told(buckets: tuple[int, int], kind: str, name: str) -> str:
    low, high = buckets
    return (
        f"{name or 'with more traffic'}: buckets {low:,} to {high - 1:,}" if kind != "later" else "in with more traffic"
    )


def _percent(bucket: float) -> str:
    return f"{100.0 * bucket / BUCKETS:.4g}%"


def _label_at(bucket: int) -> str:
    """Keep the number of a bucket near either end within the rail."""
    share = 100.0 * bucket / BUCKETS
    shift = 0 if share < 4 else -100 if share > 96 else -50
    return f"left:{share:.4g}%;transform:translateX({shift}%)"


def _within(bucket: int, span: tuple[int, int]) -> bool:
    low, high = span
    return low <= bucket < high
