"""What a diagnosis finds: Diagnosis and its parts; arms are always in order, control first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Verdict = Literal["sound", "wrong assignment", "lost logging", "unknown"]

DAY, SURFACE = "day", "surface"
"""Dimensions beside the user attributes."""

OUTSIDE_LAYER = "outside the slice"
OUTSIDE_TRAFFIC = "outside the traffic"
"""Where a hash puts a user who is in no arm."""


@dataclass(frozen=True)
class Split:
    """The users of one scope by their hash's arm, against the buckets that were in force.

    Attributes:
        scope: `all` for users exposed on any surface, or a surface.
        counts: users in each arm.
        expected: users that the buckets promise.
        p_value: of Pearson's test; None with the reason where unknown.
        e_value: evidence that may be looked at any time.
        alarm: whether the split is uneven.
        reason: why it alarms or is unknown.
    """

    scope: str
    counts: tuple[int, ...]
    expected: tuple[float, ...]
    p_value: float | None
    e_value: float | None
    alarm: bool
    reason: str | None


@dataclass(frozen=True)
class Moved:
    """Users who were recorded where their hash does not put them.

    Attributes:
        recorded: arm that the log says.
        hashed: arm that the hash says, or OUTSIDE_LAYER or OUTSIDE_TRAFFIC.
        users: how many.
        first_seen: day of the first such exposure.
        last_seen: day of the last.
        examples: some of them, for `abp assign`.
    """

    recorded: str
    hashed: str
    users: int
    first_seen: date
    last_seen: date
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A segment where wrong assignments are more frequent than elsewhere.

    Attributes:
        dimension: `day`, `surface` (the first one) or an attribute.
        segment: its value.
        users: exposed users there.
        wrong: of them, recorded where their hash does not put them.
    """

    dimension: str
    segment: str
    users: int
    wrong: int


@dataclass(frozen=True)
class Segment:
    """The split in one segment, by the hash's arm.

    Attributes:
        segment: its value.
        counts: users in each arm.
        expected: users that the buckets promise.
        p_value: of Pearson's test; None where unknown.
        alarm: whether the split is uneven there, all segments of all dimensions taken as one family of tests.
        short_arm: the arm that has the fewest beside what the others promise it; None where there is nobody.
        missing: how many users that arm lacks.
        standard_error: of that number.
        reason: why it alarms or is unknown.
    """

    segment: str
    counts: tuple[int, ...]
    expected: tuple[float, ...]
    p_value: float | None
    alarm: bool
    short_arm: str | None
    missing: float | None
    standard_error: float | None
    reason: str | None


@dataclass(frozen=True)
class Dimension:
    """The split by one dimension.

    Attributes:
        dimension: `day`, `surface` or an attribute.
        segments: its values.
        p_value: that all of them share one split, whatever it is; None with the reason where unknown.
        differs: whether they do not, so that the trouble sits in some of them.
        reason: why it is unknown.
    """

    dimension: str
    segments: tuple[Segment, ...]
    p_value: float | None
    differs: bool
    reason: str | None

    @property
    def alarm(self) -> bool:
        """Whether anything is uneven here."""
        return self.differs or any(each.alarm for each in self.segments)


@dataclass(frozen=True)
class Loss:
    """Users of one arm whom the log does not have.

    Attributes:
        arm: whose.
        dimension: where they are missing; None where they are everywhere alike.
        segments: of the dimension.
        since: first day; None where the days are alike.
        until: last day; None where it is the last one that counts.
        missing: about how many users, from what the other arms have there.
        standard_error: of that number.
        seen_later: about how many of them were exposed after those days; None where not noticeably many.
        only_surface: whether the users of any surface are evenly split, so that the arm itself may keep users away.
    """

    arm: str
    dimension: str | None
    segments: tuple[str, ...]
    since: date | None
    until: date | None
    missing: float
    standard_error: float
    seen_later: float | None
    only_surface: bool


@dataclass(frozen=True)
class Exposure:
    """How many of the data set's users whom the hash has in the experiment were exposed.

    Attributes:
        assigned: users of each arm.
        exposed: of them, those exposed.
        p_value: of one rate in all arms; None with the reason where unknown.
        alarm: p-value below .001.
        reason: why it is unknown.
    """

    assigned: tuple[int, ...]
    exposed: tuple[int, ...]
    p_value: float | None
    alarm: bool
    reason: str | None


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a split, if anything.

    Attributes:
        experiment: its key.
        as_of: last day that counts.
        watermark: time of the newest event that counts.
        verdict: the first thing to know.
        conclusion: it in a sentence.
        next_step: what to do.
        users: exposed on any surface.
        arms: their names.
        recorded: users by the arm of their record, but for mixed users.
        splits: users by the arm of their hash.
        wrong_users: recorded where their hash does not put them.
        moved: those, from where to where.
        places: where they are more frequent than elsewhere.
        by_chance: the share of users that an unrelated hash would have put into another arm.
        mixed_users: seen in several arms.
        loss: which arm's users are missing, and where; None where none are.
        dimensions: the split in each segment.
        exposure: of the data set's users; None where none of them is in the experiment.
        detectable_loss: smallest loss of an arm's users that would be found, as a fraction; None where none would.
        users_needed: with which the split is not unknown; None where no number is enough.
        left_out: attributes that were not looked at, and why.
    """

    experiment: str
    as_of: date
    watermark: datetime
    verdict: Verdict
    conclusion: str
    next_step: str
    users: int
    arms: tuple[str, ...]
    recorded: tuple[int, ...]
    splits: tuple[Split, ...]
    wrong_users: int
    moved: tuple[Moved, ...]
    places: tuple[Place, ...]
    by_chance: float
    mixed_users: int
    loss: Loss | None
    dimensions: tuple[Dimension, ...]
    exposure: Exposure | None
    detectable_loss: float | None
    users_needed: int | None
    left_out: tuple[str, ...]
