"""A power plan as HTML: the answer, each row with what it needs and gets, and how the figures were made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from ab_platform.experiment import Experiment
from ab_platform.metrics import Row
from ab_platform.power_plan import PowerPlan, RowPower
from ab_platform.reporting import figures
from ab_platform.reporting.html_parts import capital, figure
from ab_platform.reporting.power_answer import answer, arm_words, distinct, in_words, row_label, rows_by_name

HEADS: Mapping[str, tuple[str, str]] = {
    "metric": ("Row", "What is measured, and where"),
    "asked": ("To show", "The lift to find; of a guardrail, the margin that it must be shown to keep"),
    "needed": ("Users needed", "All arms together, exposed on the surface, to show it with the planned power"),
    "had": ("Users by the end", "All arms together, exposed on the surface by the planned end"),
    "days": ("Days needed", "Until the users needed are there"),
    "shown": ("Can show", "The smallest lift, or margin, that the users by the end show with the planned power"),
}
"""The columns: their words, and what they mean."""

_NUMBER = re.compile(r"[+-]?\d[\d,.]*\d(?: %| days?| users(?: an arm)?)?|\d(?: %| days?| users(?: an arm)?)?")


def answer_html(plan: PowerPlan, experiment: Experiment) -> str:
    """Say what the plan comes to and what to do next; read out by itself when it changes.

    Args:
        plan: of the experiment.
        experiment: as it was planned.
    """
    said = _NUMBER.sub(lambda found: f"<b>{found[0]}</b>", escape(answer(plan, experiment)))
    return (
        f'<div class="abp plan" role="status" aria-live="polite"><p class="answer">{said}</p>\n'
        f'<p class="next">{escape(in_words(plan.advice, experiment))}.</p></div>'
    )


def table_html(plan: PowerPlan, experiment: Experiment, *, more: str = "") -> str:
    """Lay the rows out with what each needs and gets.

    Args:
        plan: of the experiment.
        experiment: as it was planned.
        more: a sentence on how the figures were made; empty for none.
    """
    rows = rows_by_name(experiment)
    heads = "".join(
        f'<th role="columnheader" scope="col" class="{_side(name)}" title="{escape(told)}">{word}</th>'
        for name, (word, told) in HEADS.items()
    )
    body = "".join(_row(each, rows[each.row], arm_words(each, experiment)) for each in distinct(plan, experiment))
    told = [*plan.told, *([more] if more else [])]
    return (
        '<article class="abp plan"><table role="table" aria-label="What each row needs and gets">\n'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n<tbody role="rowgroup">\n{body}</tbody></table>\n'
        f"<footer>{''.join(f'<p>{escape(in_words(sentence, experiment))}</p>' for sentence in told)}</footer></article>"
    )


def _row(found: RowPower, row: Row, arm: str) -> str:
    against = f"{found.role}, {arm}" if arm else found.role
    needed = figures.ABSENT if found.users_needed is None else f"{found.users_needed:,}"
    shown = figures.ABSENT if found.detectable is None else figures.size(found.detectable)
    cells = {
        "asked": _asked(found),
        "needed": needed,
        "had": f"{found.users:,}",
        "days": _days(found),
        "shown": shown,
    }
    told = "".join(
        f'<td role="cell" class="{_side(name)}" data-label="{HEADS[name][0]}">{figure(text)}</td>'
        for name, text in cells.items()
    )
    kind = "measured primary" if found.role == "primary" else "measured"
    head = f"{escape(capital(row_label(row)))}<small>{escape(against)}</small>"
    said = f'<tr role="row" class="{kind}"><th role="rowheader" scope="row" class="metric">{head}</th>{told}</tr>\n'
    if not found.reason:
        return said
    reason = f'<td role="cell" colspan="{len(HEADS)}">{escape(capital(found.reason))}.</td>'
    return f'{said}<tr role="row" class="why">{reason}</tr>\n'


def _asked(found: RowPower) -> str:
    if found.asked is None:
        return figures.ABSENT
    return f"{'margin' if found.role == 'guardrail' else 'lift'} {100.0 * found.asked:+.3g} %"


def _days(found: RowPower) -> str:
    if found.users_needed is None:
        return figures.ABSENT
    return "more than a year" if found.days_needed is None else f"{found.days_needed:,}"


def _side(name: str) -> str:
    return "metric" if name == "metric" else "number"
