"""Make the golden reports of tests/readouts.py, to be read by a person before they are kept.

Run: python -m tests.golden.make_reports
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ab_platform.reporting import as_latex, as_markdown, as_text
from ab_platform.results import Readout
from tests.readouts import DECISION, ROWS, absent, ratio_row, readout
from tests.reporting.rich import rich

GOLDEN = Path(__file__).parent


def troubled() -> Readout:
    """Build a readout with an alarm, an unknown split, an absent row and an interval without ends."""
    lost = "p is 0.00032, below 0.001; find where users were lost before reading any lift"
    alarm = replace(ratio_row("home_card", counts=(5180, 4820), p_value=0.00032, e_value=81.0), reason=lost)
    unknown = replace(ratio_row("movie_card", counts=(0, 0), p_value=None, e_value=None), reason="no users in any arm")
    endless = replace(ROWS[5], low=None, high=None, reason="the control may well be 0; its lift has no bounds")
    return readout(
        (*ROWS[:2], absent(ROWS[2], "control has 1 user; at least 2 are required"), *ROWS[3:5], endless),
        ratios=(ratio_row(), alarm, unknown),
        decisions=(replace(DECISION, outcome="unhealthy", reason=f"the split alarms (on home_card: {lost})"),),
    )


def reports() -> dict[str, str]:
    """Write every report that is kept, by the name of its file."""
    return {
        "report.txt": as_text(readout()),
        "report_troubled.txt": as_text(troubled(), published=True),
        "report_troubled.md": as_markdown(troubled(), published=True),
        "report_troubled.tex": as_latex(troubled(), published=True),
        "report_rich.txt": as_text(rich()),
        "report_rich_80.txt": as_text(rich(), width=80),
        "report_rich.md": as_markdown(rich()),
    }


if __name__ == "__main__":
    for name, text in reports().items():
        (GOLDEN / name).write_text(text, encoding="utf-8")
