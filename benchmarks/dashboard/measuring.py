"""Open the pages in a browser and click, and let the browser's own clock say how long it took."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.dashboard.pages import Page
from tests.dashboards.browser import NOT_DRAWN, PAGE, SETTLED, Reader, reading, served
from tests.dashboards.visiting import visit

LONGEST_MS = 60_000

SHOWN = f"""
const [selector, longest] = arguments, done = arguments[arguments.length - 1];
const shown = () => document.querySelector({PAGE!r}) && document.querySelector({SETTLED!r}) && ({NOT_DRAWN}) === 0;
const look = () => shown() ? done(performance.now())
    : performance.now() > longest ? done(null) : requestAnimationFrame(look);
look();
"""
"""Milliseconds since the browser began to go to the page, until its figures stand and nothing runs any more."""

CLICKED = f"""
const [selector, longest] = arguments, done = arguments[arguments.length - 1];
const app = document.querySelector("[data-testid='stApp']"), target = document.querySelector(selector);
if (!target) return done(`nothing is there to click: ${{selector}}`);
let ran = false;
const watch = new MutationObserver(() => {{ ran = true; }});
watch.observe(app, {{attributes: true, attributeFilter: ["data-test-script-state"]}});
const begun = performance.now();
const stale = () => document.querySelector("[data-testid='stMain'] [data-stale='true']");
const over = () => ran && document.querySelector({SETTLED!r}) && !stale() && ({NOT_DRAWN}) === 0;
const look = () => over() ? (watch.disconnect(), done(performance.now() - begun))
    : performance.now() - begun > longest ? done("it did not end") : setTimeout(look, 4);
target.click();
look();
"""
"""Milliseconds from a click until the page was made again, nothing on it is stale and its charts are drawn."""


@dataclass(frozen=True)
class Measured:
    """What was measured of one page, in seconds.

    Attributes:
        page: its title.
        cold: until it shows as the first page of a fresh server; empty where that was not measured.
        warm: until it shows once the server has answered before.
        rerun: until the server has run the page again, without the browser.
        click: from a click until the browser shows the page made again; empty for a page without a choice.
        clicked: what the click does.
    """

    page: str
    cold: tuple[float, ...]
    warm: tuple[float, ...]
    rerun: tuple[float, ...]
    click: tuple[float, ...]
    clicked: str


def measure(
    home: Path, folder: Path, found: Sequence[Page], *, rounds: int, tell: Callable[[str], None]
) -> tuple[Measured, ...]:
    """Measure every page.

    Args:
        home: as in `ABP_HOME`, with the store.
        folder: for logs and the browser's profile.
        found: the pages.
        rounds: how often each is measured.
        tell: called with a line about each page.
    """
    with ExitStack() as stack:
        address = stack.enter_context(served(home, folder))
        reader = stack.enter_context(reading(address, folder / "profile"))
        reader.browser.set_script_timeout(2 * LONGEST_MS / 1000)
        measured = []
        for page in found:
            cold = tuple(_cold(home, folder, reader, page) for _ in range(rounds))
            warm = tuple(_open(reader, page) for _ in range(rounds + 1))[1:]
            click = tuple(_click(reader, page) for _ in range(rounds + 1))[1:] if page.clicks else ()
            measured.append(Measured(page.title, cold, warm, _reruns(home, page, rounds), click, page.told))
            tell(_line(measured[-1]))
        return tuple(measured)


def _cold(home: Path, folder: Path, reader: Reader, page: Page) -> float:
    """Open a page as the first of a server that has just begun to listen, in a browser that has been here before."""
    with served(home, folder) as address:
        took = _open(Reader(reader.browser, address), page)
        # A page that stands would go on asking for its server, and complain.
        reader.browser.get("about:blank")
    reader.complaints()
    return took


def _open(reader: Reader, page: Page) -> float:
    reader.browser.get("about:blank")
    reader.browser.get(reader.address + page.path)
    shown = reader.browser.execute_async_script(SHOWN, "", LONGEST_MS)
    if shown is None:
        raise RuntimeError(f"the page {page.title} did not show within {LONGEST_MS / 1000:g} s")
    reader.assert_sound()
    return float(shown) / 1000.0


def _click(reader: Reader, page: Page) -> float:
    """Click on what is not chosen, each time anew, so that the page has to be made again."""
    if page.opens:
        reader.browser.find_element("css selector", page.opens).click()
        reader.wait_for(page.clicks)
    took = reader.browser.execute_async_script(CLICKED, page.clicks, LONGEST_MS)
    if not isinstance(took, (int, float)):
        raise RuntimeError(f"the click on {page.title}: {took}")
    return float(took) / 1000.0


def _reruns(home: Path, page: Page, rounds: int) -> tuple[float, ...]:
    """Run a page in this process, as its server does for each reader and click; the first run fills what is kept."""
    os.environ["ABP_HOME"] = str(home)
    os.environ.pop("ABP_DATABASE_URL", None)
    visited = visit(page.module, **dict(page.asked))
    visited.run()
    took = []
    for _ in range(rounds):
        begun = perf_counter()
        visited.run()
        took.append(perf_counter() - begun)
    return tuple(took)


def _line(found: Measured) -> str:
    figures = (("cold", found.cold), ("warm", found.warm), ("rerun", found.rerun), ("click", found.click))
    told = (f"{name} {median(seconds):.2f} s" for name, seconds in figures if seconds)
    return f"{found.page}: {', '.join(told)}"
