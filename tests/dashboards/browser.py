"""Serve the dashboard as people do, and read it in a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from dashboards.launch import command

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")

PATIENCE_SECONDS = 60
DRAWN_ANEW = (IndexError, NoSuchElementException, StaleElementReferenceException)
"""What is raised of an element that the page has not drawn yet, or drew anew after it was found."""

TABLE = "article.abp table"
PAGE = ".stMainBlockContainer .abp, .stMainBlockContainer .abp-frame"
"""What every page shows of its own, figures or a notice."""

SETTLED = "[data-testid='stApp'][data-test-script-state='notRunning']"
CHARTS = "[data-testid='stVegaLiteChart']"
STICKS_OUT = """Array.from(document.querySelectorAll('html, [data-testid="stMain"], .stMain article.abp'))
    .filter(each => each.scrollWidth > each.clientWidth + 1)
    .map(each => `${each.dataset.testid || each.className} ${each.scrollWidth} > ${each.clientWidth}`)"""
NOT_DRAWN = """Array.from(document.querySelectorAll("[data-testid='stVegaLiteChart']"))
    .filter(each => ![...each.querySelectorAll('canvas, svg')].some(mark => mark.getBoundingClientRect().width > 50))
    .length + document.querySelectorAll("[data-testid='stSkeleton']").length"""
"""Charts without a mark yet, and places of charts whose code is still being loaded."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@contextmanager
def served(home: Path, folder: Path, **variables: str) -> Iterator[str]:
    """Serve the store of a home on a free port, and give its address.

    Args:
        home: as in `ABP_HOME`.
        folder: where the server runs and writes its log.
        variables: of the environment, besides.
    """
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ABP_")}
    environment |= {"ABP_HOME": str(home), "STREAMLIT_SERVER_HEADLESS": "true", **variables}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command(port), env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_healthy(port, server, folder / "server.log")
        yield f"http://127.0.0.1:{port}/"
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=PATIENCE_SECONDS)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the dashboard did not start:\n{log.read_text()}")


@dataclass(frozen=True)
class Reader:
    """A browser at an address."""

    browser: webdriver.Chrome
    address: str

    def open(
        self, path: str, *, width: int = 1280, height: int = 1200, scheme: str = "light", wait_for: str = TABLE
    ) -> None:
        """Open a page, and wait for something on it and until nothing runs any more."""
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.browser.get(self.address + path)
        self.settle(wait_for)

    def settle(self, wait_for: str) -> None:
        """Wait for something on the page, until nothing runs any more, and until its charts are drawn."""
        self.wait_for(wait_for)
        self.wait_for(SETTLED)
        self.wait_until(f"({NOT_DRAWN}) === 0", "a chart was not drawn")

    def wait_until(self, script: str, otherwise: str) -> None:
        """Wait until an expression of the page's holds."""
        WebDriverWait(self.browser, PATIENCE_SECONDS).until(lambda _: self.run(script), otherwise)

    def go_to(self, title: str) -> None:
        """Go to another page by the navigation, opening it where it is closed."""
        links = "[data-testid='stSidebarNav'] a"
        opener = "[data-testid='stExpandSidebarButton']"
        self.wait_for(f"{links}, {opener}")
        if self.run(f"document.querySelector({opener!r}) !== null"):
            self.click(opener)
        self.wait_for(links)
        titles = self.run(f"Array.from(document.querySelectorAll({links!r}), each => each.textContent.trim())")
        place, chosen = titles.index(title), f"document.querySelectorAll({links!r})[{titles.index(title)}]"
        self.wait_until(f"{chosen}.getBoundingClientRect().x >= 0", "the navigation did not open")
        path = str(self.run(f"{chosen}.href")).rstrip("/").rpartition("/")[2].partition("?")[0]
        self.click(links, place)
        self.wait_until(f"location.pathname.endsWith('/{path}')", f"the page {title} did not open")
        self.settle(PAGE)

    def wait_for(self, selector: str) -> None:
        WebDriverWait(self.browser, PATIENCE_SECONDS).until(
            lambda browser: browser.find_elements(By.CSS_SELECTOR, selector),
            f"{selector} was not there on {self.browser.current_url}",
        )

    def click(self, selector: str, place: int = 0) -> None:
        """Click the element of a selector that comes at a place, once it is there."""
        self._patiently(lambda: self.browser.find_elements(By.CSS_SELECTOR, selector)[place].click(), selector)

    def type(self, selector: str, *keys: str) -> None:
        """Type into the first field of a selector, once it is there."""
        self._patiently(lambda: self.browser.find_element(By.CSS_SELECTOR, selector).send_keys(*keys), selector)

    def text(self, selector: str) -> str:
        """Return what is read on the first element of a selector, once it is there."""
        found = self._patiently(lambda: self.browser.find_element(By.CSS_SELECTOR, selector).text, selector)
        return " ".join(str(found).split())

    def _patiently(self, act: Callable[[], object], selector: str) -> object:
        """Do something with an element, again where the page was drawn anew meanwhile."""
        waiting = WebDriverWait(self.browser, PATIENCE_SECONDS, ignored_exceptions=DRAWN_ANEW)
        return waiting.until(lambda _: (act(),), f"{selector} was not there")[0]

    def run(self, script: str) -> Any:
        return self.browser.execute_script(f"return {script}")

    def assert_sound(self) -> None:
        """Check that nothing failed, in the page or in its console, and that nothing sticks out to the right."""
        assert self.browser.find_elements(By.CSS_SELECTOR, "[data-testid='stException']") == []
        assert self.complaints() == []
        assert self.run(STICKS_OUT) == []
        assert self.run(NOT_DRAWN) == 0

    def complaints(self) -> list[str]:
        """Return the errors of the console since it was read last.

        Streamlit finds out where it is served by asking beneath the page's own path first, in vain.
        """
        lines = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        severe = [str(line["message"]) for line in lines if line["level"] == "SEVERE"]
        return [message for message in severe if not ("/_stcore/" in message and "404" in message)]


@contextmanager
def reading(address: str, profile: Path) -> Iterator[Reader]:
    """Start a browser with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(CHROMEDRIVER)))
    try:
        yield Reader(browser, address)
    finally:
        browser.quit()
