"""An offline comparison as HTML: the words and figures of `reporting.offline`, set for a page."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from html import escape

from ab_platform.offline.results import (
    ACCURACY,
    MAIN,
    OTHERS,
    ArmScores,
    Comparison,
    Difference,
    GroupScore,
)
from ab_platform.reporting import offline
from ab_platform.reporting.figures import ABSENT
from ab_platform.reporting.html_parts import figure
from ab_platform.reporting.html_tables import Cell, Column, Row, table
from ab_platform.reporting.verdict import TONES, Tone

DEFINITIONS = {
    "Recall@20": "share of a user's held-out titles among the first 20, of those that would fit",
    "Recall@50": "share of a user's held-out titles among the first 50, of those that would fit",
    "NDCG@100": "held-out titles among the first 100, the higher the more; 1 where they are all on top",
    "Coverage@20": "share of the catalogue among the first 20 of some test user",
    "Novelty@20": "how unusual the first 20 are, in bits; more is not better in itself",
}
"""What a metric is, in a line."""

HOLM = "corrected for the number of arms; other metrics are not corrected"


def verdicts(found: Comparison, labels: Collection[str]) -> str:
    """Say of some arms whether they are better than the control, each in a sentence with its figures."""
    told = zip(found.of_metric(MAIN), offline.sentences(found), strict=True)
    lines = [
        f'<p class="said {TONES[each.verdict]}">{figure(sentence)}</p>' for each, sentence in told if each.arm in labels
    ]
    return "\n".join(lines)


def scores(found: Comparison) -> str:
    """Lay out what every arm reaches on the test users."""
    heads = [Column("arm", words=True), *map(_metric, ACCURACY.values()), *map(_metric, OTHERS.values())]
    rows = [_scores(arm, control=arm.label == found.control) for arm in found.arms]
    return table(f"Scores on the test users of {found.split.dataset}", heads, rows)


def differences(found: Comparison, metric: str) -> str:
    """Lay out how far each arm is from the control on one metric."""
    main = metric == MAIN
    heads = [
        Column("arm", words=True),
        Column("difference", f"in {ACCURACY[metric]}, user by user"),
        Column(offline.interval_label(found), wide=True),
        Column("relative", "to the control, with its interval by the delta method"),
        *([Column("p (Holm)", HOLM)] if main else []),
        Column("verdict", words=True),
    ]
    rows = [_difference(each, found, main=main) for each in found.of_metric(metric)]
    return table(f"Differences from {found.control} in {ACCURACY[metric]}", heads, rows)


def by_group(found: Comparison, metric: str) -> str:
    """Lay out one metric by how many interactions users have, a column a group, as Table 3 of the paper.

    Args:
        found: the comparison.
        metric: one of `BY_GROUP`.
    """
    scored = [each for each in found.groups if each.metric == metric]
    groups = dict.fromkeys(each.group for each in scored)
    users = {each.group: each.users for each in scored}
    heads = [Column("arm", words=True), *(Column(group, detail=f"{users[group]:,} users") for group in groups)]
    cells = {(each.arm, each.group): _group(each) for each in scored}
    rows = [(_name(arm, found), *(cells[arm.label, group] for group in groups)) for arm in found.arms]
    return table(f"{ACCURACY[metric]} by a user's interactions", heads, rows, across=2)


def listed(texts: Collection[str], *, quiet: bool = True) -> str:
    """Lay sentences out as a list."""
    items = "".join(f"<li>{figure(text)}</li>" for text in texts)
    return f'<ul class="told{" quiet" if quiet else ""}">{items}</ul>' if items else ""


def _metric(head: str) -> Column:
    return Column(head, DEFINITIONS[head])


def _name(arm: ArmScores, found: Comparison) -> Cell:
    return Cell(arm.label, "control" if arm.label == found.control else "")


def _scores(arm: ArmScores, *, control: bool) -> Row:
    decimals = {**dict.fromkeys(ACCURACY, 4), "coverage_20": 3, "novelty_20": 2}
    cells = []
    for metric, places in decimals.items():
        mean, _, spread = offline.figure_words(arm.figure(metric), places).partition(" ")
        cells.append(Cell(mean, spread))
    return Cell(arm.label, "control" if control else ""), *cells


def _difference(each: Difference, found: Comparison, *, main: bool) -> Row:
    relative, _, interval = offline.relative_words(each.paired).partition(" (")
    p_value = ABSENT if each.adjusted_p_value is None else offline.p_words(each.adjusted_p_value, found)
    return (
        Cell(each.arm),
        Cell(offline.difference_words(each.paired), each.paired.reason or ""),
        Cell(offline.interval_words(each.paired)),
        Cell(relative, interval.removesuffix(")")),
        *([Cell(p_value)] if main else []),
        Cell(each.verdict, tone=TONES[each.verdict]),
    )


def _group(each: GroupScore) -> Cell:
    mean, found = f"{each.mean:.4f}", each.paired
    if found is None:
        return Cell(mean)
    words = f"{offline.difference_words(found)} ({offline.interval_words(found)})"
    return Cell(mean, words, _tone(found.low, found.high))


def _tone(low: float | None, high: float | None) -> Tone | None:
    """Say which side of 0 an interval lies on; nothing where it holds 0, or there is none."""
    if low is None or high is None or low <= 0.0 <= high:
        return None
    return "better" if low > 0.0 else "worse"


def article(parts: Iterator[str] | list[str]) -> str:
    """Put parts on a page of the dashboard."""
    return f'<article class="abp arms">\n{"".join(parts)}\n</article>'


def section(title: str, *parts: str, told: str = "") -> str:
    """Put parts under a heading, with a quiet line that says what they are."""
    line = f'<p class="quiet">{escape(told)}</p>' if told else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{line}{''.join(parts)}</section>\n"
