"""Looking early at 78 real experiments: what a fixed test and a confidence sequence would have said, look by look.

    ABP_DATA_HOME=... python -m benchmarks.asos --output docs/asos.md

Needs `asos/asos_digital_experiments_dataset.parquet`, see CREDIT.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from ab_platform.published import Comparison, MetricTally, Published, Verdict, judge
from ab_platform.settings import from_environment

FILE = Path("asos") / "asos_digital_experiments_dataset.parquet"
CREDIT = (
    "Data: ASOS Digital Experiments Dataset, C. H. Bryan Liu, A. Cardoso, P. Couturier and E. J. McCoy, "
    '"Datasets for Online Controlled Experiments", NeurIPS 2021, <https://osf.io/64jsb/>, CC BY 4.0.'
)
WORDS = (
    "*Fixed* is Welch's test, valid for one look. *Sequential* is the confidence sequence, valid for any number of "
    "looks: what it finds at some look stays found. *Gone* are those that were significant at some look and are not at "
    "the last one: whoever had stopped at that look would have reported a win or a loss that the last look does not "
    "show."
)
BESIDE = (
    "*Fixed* and *sequential* without more: significant at the last look. *Days later*: how much later the sequence "
    "found a difference than the fixed test first did, the mean over the comparisons found by both. *Moved*: "
    "comparisons in which the sequence's intervals of all looks have no difference in common."
)
CAVEATS = (
    "The moments are of all users so far, and the totals of a user who is in already go on growing, so the effect per "
    "user is not the same from look to look. The sequence promises that at most alpha of the comparisons *without* a "
    "difference are ever called; a difference that comes and goes is not one of those.",
    "Which comparisons have a true difference is unknown. The counts say what looking early changes, not who is right.",
    "The comparisons of one experiment share its control, and the metrics their users.",
)
LISTED = "1"
"""The metric whose comparisons are all listed; none of its variances is missing."""


def as_markdown(found: Published) -> str:
    """Write the page."""
    looks = sum(len(each.looks) for each in found.comparisons)
    experiments = len({each.experiment for each in found.comparisons})
    return "\n".join(
        [
            "# Looking early at real experiments",
            "",
            f"    abp looks {FILE}",
            "    ABP_DATA_HOME=... python -m benchmarks.asos --output docs/asos.md",
            "",
            f"{experiments} experiments, {len(found.comparisons)} comparisons of a treatment with its control, "
            f"{looks:,} looks, alpha {found.alpha:g}. {WORDS}",
            "",
            *_tallies(found.metrics),
            "",
            BESIDE,
            "",
            _reading(found.metrics),
            "",
            "What to keep in mind:",
            "",
            *(f"- {sentence}" for sentence in (*found.told, *CAVEATS)),
            "",
            f"## Every comparison of metric {LISTED}",
            "",
            *_rows([each for each in found.comparisons if each.metric == LISTED]),
            "",
            CREDIT,
            "",
        ]
    )


def _tallies(metrics: Iterable[MetricTally]) -> list[str]:
    head = ("metric", "comparisons", "fixed", "some look", "gone", "sequential", "some look", "gone")
    lines = [f"| {' | '.join((*head, 'days later', 'moved'))} |", "|---|" + "---:|" * 9]
    for each in metrics:
        counts = [count for tally in (each.fixed, each.sequential) for count in (tally.last, tally.some, tally.gone)]
        later = "–" if each.days_later is None else f"{each.days_later:.1f} (of {each.both})"
        cells = [each.metric, each.comparisons, *counts, later, each.moved]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _reading(metrics: Iterable[MetricTally]) -> str:
    every = list(metrics)
    some, gone = sum(each.fixed.some for each in every), sum(each.fixed.gone for each in every)
    found, last = sum(each.sequential.some for each in every), sum(each.fixed.last for each in every)
    return (
        f"Of {some} differences that peeking with the fixed test would have called, {gone} ({gone / some:.0%}) are "
        f"gone at the last look. The sequence calls {found}, whenever one looks; the fixed test calls {last} at the "
        "last look, where alone it is valid."
    )


def _rows(comparisons: Iterable[Comparison]) -> list[str]:
    lines = [
        "| experiment | variant | looks | days | users | lift | fixed p | first day | sequential p | first day |",
        "|---|---|" + "---:|" * 8,
    ]
    for each in comparisons:
        last = each.looks[-1]
        lift = "–" if last.lift is None else f"{last.lift:+.2%}"
        cells = [each.experiment, each.variant, len(each.looks), f"{last.days:g}", f"{last.users:,}", lift]
        lines.append(f"| {' | '.join(map(str, [*cells, *_verdict(each.fixed), *_verdict(each.sequential)]))} |")
    return [
        *lines,
        "",
        "Bold: significant at the last look. *First day*: of the first look at which it was significant.",
    ]


def _verdict(verdict: Verdict | None) -> tuple[str, str]:
    if verdict is None:
        return "–", "–"
    p_value = "< .0001" if verdict.p_value < 1e-4 else f"{verdict.p_value:.4f}"
    first = "–" if verdict.first_days is None else f"{verdict.first_days:g}{' (gone)' if verdict.gone else ''}"
    return f"**{p_value}**" if verdict.significant else p_value, first


def main() -> None:
    """Judge the experiments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    text = as_markdown(judge(from_environment().data_home / FILE))
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
