"""Colours of data marks: each reads on light and on dark paper, and no pair needs red told from green.

Text and axes take theirs from the theme around the chart. The paper is #fdfcfa or #15171b; every colour has a contrast
of at least 3.5 to both, and better and worse are told apart by hue, by shape and in words.
"""

from __future__ import annotations

from collections.abc import Mapping

from ab_platform.reporting.verdict import Tone

CONTROL = "#83807a"
TREATMENT = "#3f7fc4"
BETTER = "#16907a"
WORSE = "#cc5f1c"
NEUTRAL = "#83807a"
TRUTH = "#a85fb0"
"""Of what is known by construction or by a replay under every arm."""

ARMS = (CONTROL, TREATMENT, "#bd7117", "#a85fb0", "#16907a", "#7d8a1e")
"""Of arms, control first; where there are more, they begin again after the control."""

TONES: Mapping[Tone, str] = {"better": BETTER, "worse": WORSE, "no": NEUTRAL, "unknown": NEUTRAL}
"""Of a verdict: colour only where there is something to say."""


def arm_colours(arms: int) -> tuple[str, ...]:
    """Return a colour for each arm, control first.

    Args:
        arms: how many there are.
    """
    treatments = ARMS[1:]
    return (CONTROL, *(treatments[place % len(treatments)] for place in range(arms - 1)))[:arms]
