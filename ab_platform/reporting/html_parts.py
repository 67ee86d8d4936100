"""What stands above the table of the HTML report: the decision and the split; and how its figures are set."""

from __future__ import annotations

import re
from html import escape

from ab_platform.reporting.printed import Banner
from ab_platform.reporting.printed_split import Split
from ab_platform.reporting.verdict import SplitVerdict

MINUS = "−"
_SIGN = re.compile(r"(?<![\w.)])-(?=\d)")

SPLIT_CLASSES: dict[SplitVerdict, str] = {"ALARM": "alarm", "unknown": "unknown", "trust the split": "trust"}


def banner(found: Banner) -> str:
    """Say what to do about one treatment, so that it is seen first."""
    left = f" <small>{escape(found.days_left)}</small>" if found.days_left else ""
    outcome = f"<strong>{capital(found.outcome.lower())}</strong>"
    return (
        f'<section class="decision {found.tone}" aria-label="{escape(f"Decision on {found.arm}")}">\n'
        f'<p class="outcome"><span>{escape(found.arm)}</span> {outcome}{left}</p>\n'
        f"<p>{escape(found.reason)}</p>\n</section>\n"
    )


def split(found: Split) -> str:
    """Say whether the arms got their users: in one line while they did, check by check where not."""
    sound = escape(found.sound)
    trusted = found.verdict == "trust the split"
    items = [f"<b>{escape(check.scope)}:</b> {check.verdict}. {escape(check.words)}" for check in found.checks]
    items += [f"<b>Trusted:</b> {sound}."] * (not trusted and bool(sound))
    items += [f"<b>Not tested:</b> {escape(found.untested)}."] * bool(found.untested)
    items += [f"{escape(found.mixed)}"] * bool(found.mixed)
    listed = "".join(f"<li>{item}</li>\n" for item in items)
    meaning = f" of {sound}." if trusted else f". {escape(found.meaning)}"
    return (
        f'<section class="split {SPLIT_CLASSES[found.verdict]}" aria-label="Sample ratio">\n'
        f"<p><strong>{capital(found.verdict)}</strong>{meaning}</p>\n"
        f"{f'<ul>{chr(10)}{listed}</ul>{chr(10)}' if listed else ''}</section>\n"
    )


def figure(text: str) -> str:
    """Escape a figure, and set its sign as one."""
    return escape(_SIGN.sub(MINUS, text))


def capital(words: str) -> str:
    """Begin a sentence."""
    return words[:1].upper() + words[1:]
