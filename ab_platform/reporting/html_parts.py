"""What stands above the table of the HTML report: health, decision, split, view; how figures and words are set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from ab_platform.reporting.printed import Banner
from ab_platform.reporting.printed_health import Belief
from ab_platform.reporting.printed_split import Split
from ab_platform.reporting.verdict import SplitVerdict

MINUS = "−"
_SIGN = re.compile(r"(?<![\w.)])-(?=\d)")

SPLIT_CLASSES: dict[SplitVerdict, str] = {"ALARM": "alarm", "unknown": "unknown", "trust the split": "trust"}


def title(text: str) -> str:
    """Set the title so that a narrow page does not break its day."""
    name, comma, day = text.rpartition(", ")
    return f'{escape(name)}{comma}<span class="whole">{escape(day)}</span>'


def chip(found: Belief) -> str:
    """Say in a word whether the lifts may be believed, beside the title."""
    return f'<p class="status {found.status}">{term(found.word, found.reason)}</p>'


def belief(found: Belief) -> str:
    """Say what speaks against believing the lifts; nothing where all is well or the decision says it already."""
    told = found.decided and found.status == "unhealthy"
    if found.status == "healthy" or (told and not found.findings):
        return ""
    items = "".join(f"<li><b>{escape(each.name)}:</b> {with_commands(each.words)}</li>\n" for each in found.findings)
    listed = f"<ul>\n{items}</ul>\n" if items else ""
    reason = "" if items else f" {with_commands(found.reason)}"
    return (
        f'<section class="belief {found.status}" aria-label="Health">\n'
        f"<p><strong>{found.meaning}.</strong>{reason}</p>\n{listed}</section>\n"
    )


def view_note(sentence: str) -> str:
    """Say that the table below is not the one that decides."""
    return f'<p class="view" role="note">{escape(sentence)}</p>\n' if sentence else ""


def term(words: str, told: str) -> str:
    """Set words with their definition, which hovering, focus and screen readers bring up."""
    if not told:
        return escape(words)
    return f'<span class="term" tabindex="0" title="{escape(told)}">{escape(words)}</span>'


def glossary(terms: Sequence[tuple[str, str]]) -> str:
    """List the same definitions for who cannot hover; folded until asked for."""
    listed = "".join(f"<dt>{escape(words)}</dt><dd>{escape(told)}</dd>\n" for words, told in terms)
    return f'<details class="told"><summary>What the columns mean</summary>\n<dl>\n{listed}</dl>\n</details>\n'


def banner(found: Banner) -> str:
    """Say what to do about one treatment, so that it is seen first."""
    left = f" <small>{escape(found.days_left)}</small>" if found.days_left else ""
    outcome = f"<strong>{capital(found.outcome.lower())}</strong>"
    doubts = " doubts" if found.outcome == "UNHEALTHY" else ""  # it says itself that the lifts are not to be believed
    return (
        f'<section class="decision {found.tone}{doubts}" aria-label="{escape(f"Decision on {found.arm}")}">\n'
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
    meaning = f" of {sound}." if trusted else f". {with_commands(found.meaning)}"
    return (
        f'<section class="split {SPLIT_CLASSES[found.verdict]}" aria-label="Sample ratio">\n'
        f"<p><strong>{capital(found.verdict)}</strong>{meaning}</p>\n"
        f"{f'<ul>{chr(10)}{listed}</ul>{chr(10)}' if listed else ''}</section>\n"
    )


def with_commands(text: str) -> str:
    """Escape a text, and set what stands in backticks as a command."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def figure(text: str) -> str:
    """Escape a figure, and set its sign as one."""
    return escape(signed(text))


def signed(text: str) -> str:
    """Set the signs of figures as such; a hyphen, as in a date, stays one."""
    return _SIGN.sub(MINUS, text)


def capital(words: str) -> str:
    """Begin a sentence."""
    return words[:1].upper() + words[1:]
