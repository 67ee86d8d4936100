"""An offline comparison in words, as tables for a terminal, and as a section of Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ab_platform.offline.results import (
    ACCURACY,
    BY_GROUP,
    MAIN,
    OTHERS,
    ArmScores,
    Comparison,
    Difference,
    Figure,
    GroupScore,
)
from ab_platform.reporting.figures import ABSENT, p_clause, p_value, percent
from ab_platform.reporting.markdown import escape
from ab_platform.statistics.paired import PairedDifference

FEW_SEEDS = "Two seeds are few: where seeds matter, 87 to 93 % of 95 % intervals cover; take three or more."


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: what it shows.
        columns: their heads.
        rows: one text a column.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def lead(comparison: Comparison) -> str:
    """Say what the arms were trained and judged on."""
    split = comparison.split
    return (
        f"{split.dataset}: {split.origin}. Strong generalisation: {split.training_users:,} users trained on, "
        f"{split.validation_users:,} choose the epoch, {split.test_users:,} judge; {split.titles:,} titles, "
        f"{split.interactions:,} training interactions."
    )


def tables(comparison: Comparison) -> tuple[Table, ...]:
    """Lay out the scores, the differences from the control, and both by the number of interactions."""
    groups = [_groups(comparison, metric) for metric in BY_GROUP]
    return (_scores(comparison), *([_differences(comparison)] if comparison.differences else []), *groups)


def sentences(comparison: Comparison) -> tuple[str, ...]:
    """Say of each arm whether it is better than the control, worse, or neither was shown."""
    return tuple(_sentence(each, comparison) for each in comparison.of_metric(MAIN))


def trainings(comparison: Comparison) -> tuple[str, ...]:
    """Say of each arm how it was trained."""
    return tuple(map(_training, comparison.arms))


def notes(comparison: Comparison) -> tuple[str, ...]:
    """Say how the figures were made."""
    seeds = max((len(arm.seeds) for arm in comparison.arms), default=0)
    several = seeds > 1
    level = f"{100 * comparison.confidence:g} %"
    over = "users and seeds" if several else "users, and not another seed"
    told = [
        "Recall@k divides by min(k, what there is to find), NDCG@100 has its ideal cut there too; the whole catalogue "
        "is ranked. Coverage@20 is the share of titles among the first 20 of some test user, Novelty@20 the mean of "
        "-log2 of the share of training users who have a title, in bits; more of either is not better in itself.",
        *([f"± is the standard deviation over {seeds} seeds."] if several else []),
        *([FEW_SEEDS] if seeds == 2 else []),
    ]
    if comparison.differences:
        matched = "user by user and seed by seed" if several else "user by user"
        told.append(
            f"Differences are {matched}, with {level} intervals over {over}, "
            f"relative ones by the delta method. p-values of {ACCURACY[MAIN]} are corrected for "
            f"{len(comparison.of_metric(MAIN))} arms (Holm), intervals are not; other metrics are not corrected."
        )
    return tuple(told)


def as_markdown(comparison: Comparison, *, picture: str | None = None) -> str:
    """Lay the comparison out as a section.

    Args:
        comparison: what was found.
        picture: where the picture of the differences lies, as a link has it.
    """
    blocks = [f"## {escape(comparison.split.dataset)}: arms offline", escape(lead(comparison))]
    blocks += [_bullets(sentences(comparison)), "How they were trained:", _bullets(trainings(comparison))]
    for table in tables(comparison):
        blocks += [f"{escape(table.title)}:", "\n".join(_lines(table))]
    if picture is not None:
        blocks.append(f"![Differences from {escape(comparison.control)}]({picture})")
    return "\n\n".join([*filter(None, blocks), *map(escape, notes(comparison))]) + "\n"


def _bullets(texts: tuple[str, ...]) -> str:
    return "\n".join(f"- {escape(text)}" for text in texts)


def _lines(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(map(escape, table.columns))} |"
    yield f"|{'---|' * len(table.columns)}"
    for row in table.rows:
        yield f"| {' | '.join(map(escape, row))} |"


def _scores(comparison: Comparison) -> Table:
    heads = ("arm", *ACCURACY.values(), *OTHERS.values())
    return Table("Scores on the test users", heads, tuple(map(_score_row, comparison.arms)))


def _score_row(arm: ArmScores) -> tuple[str, ...]:
    accuracy = [figure_words(arm.figure(metric), 4) for metric in ACCURACY]
    others = [figure_words(arm.figure("coverage_20"), 3), figure_words(arm.figure("novelty_20"), 2)]
    return arm.label, *accuracy, *others


def figure_words(figure: Figure, decimals: int) -> str:
    """Print a metric of an arm with its spread over seeds."""
    spread = "" if figure.spread is None else f" ±{figure.spread:.{decimals}f}"
    return f"{figure.mean:.{decimals}f}{spread}"


def _training(arm: ArmScores) -> str:
    named = arm.label if arm.recommender == arm.label else f"{arm.label} ({arm.recommender})"
    settings = ", ".join(f"{name} {value}" for name, value in arm.config.items()) or "default settings"
    seeds = f"seeds {', '.join(map(str, arm.seeds))}" if arm.seeds else "no seed"
    epochs = f", best epoch {', '.join(map(str, arm.best_epochs))}" if any(arm.best_epochs) else ""
    return (
        f"{named}: {settings}; {seeds}{epochs}; validation NDCG@100 {arm.validation_ndcg:.4f}; "
        f"{arm.seconds:,.1f} s a training"
    )


def _differences(comparison: Comparison) -> Table:
    rows = []
    for each in comparison.differences:
        adjusted = ABSENT if each.adjusted_p_value is None else p_words(each.adjusted_p_value, comparison)
        found = each.paired
        figures = (difference_words(found), interval_words(found), relative_words(found), adjusted, each.verdict)
        rows.append((each.arm, ACCURACY[each.metric], *figures))
    heads = ("arm", "metric", "difference", interval_label(comparison), "relative", "p (Holm)", "verdict")
    return Table(f"Differences from {comparison.control}", heads, tuple(rows))


def _groups(comparison: Comparison, metric: str) -> Table:
    """Lay out one metric by the number of interactions, as Table 3 of the paper, a row a group and an arm."""
    found = [each for each in comparison.groups if each.metric == metric]
    heads = ("interactions", "users", "arm", ACCURACY[metric], "difference", interval_label(comparison))
    title = f"{ACCURACY[metric]} by a user's interactions, those shown and those to be found"
    return Table(title, heads, tuple(map(_group_row, found)))


def _group_row(each: GroupScore) -> tuple[str, ...]:
    figures = (ABSENT, ABSENT) if each.paired is None else (difference_words(each.paired), interval_words(each.paired))
    return each.group, f"{each.users:,}", each.arm, f"{each.mean:.4f}", *figures


def _sentence(each: Difference, comparison: Comparison) -> str:
    found, against = each.paired, f"{comparison.control} in {ACCURACY[MAIN]}"
    said = {
        "better": f"{each.arm} is better than {against}",
        "worse": f"{each.arm} is worse than {against}",
        "no difference shown": f"{each.arm}: no difference from {against} is shown",
    }
    if found.low is None:
        return f"{said[each.verdict]}: {found.reason}."
    corrected = p_clause(p_words(each.adjusted_p_value, comparison))
    measured = f"{difference_words(found)}, {percent(found.relative, 1)}; interval {interval_words(found)}"
    others = [one for one in comparison.differences if one.arm == each.arm and one.metric != MAIN]
    rest = ", ".join(f"{ACCURACY[one.metric]} {one.verdict}" for one in others)
    return f"{said[each.verdict]} ({measured}; corrected {corrected}). Uncorrected: {rest}."


def interval_label(comparison: Comparison) -> str:
    """Name the intervals."""
    return f"{100 * comparison.confidence:g} % interval"


def difference_words(found: PairedDifference) -> str:
    """Print a difference in the metric's unit."""
    return f"{found.difference:+z.4f}"


def interval_words(found: PairedDifference) -> str:
    """Print the interval of a difference."""
    if found.low is None or found.high is None:
        return ABSENT
    return f"{found.low:+z.4f} to {found.high:+z.4f}"


def relative_words(found: PairedDifference) -> str:
    """Print a difference as a share of the control, with its interval."""
    if found.relative_low is None or found.relative_high is None:
        return percent(found.relative, 1)
    return f"{percent(found.relative, 1)} ({100 * found.relative_low:+z.1f} to {100 * found.relative_high:+z.1f} %)"


def p_words(probability: float | None, comparison: Comparison) -> str:
    """Print a p-value, no finer than the level asks for."""
    return p_value(probability, 1.0 - comparison.confidence)
