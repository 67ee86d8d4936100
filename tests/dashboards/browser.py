"""Serve the dashboard as people do, and read it in a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from dashboards.launch import command

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")

PATIENCE_SECONDS = 60
TABLE = "article.abp table"
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
def served(home: Path, folder: Path) -> Iterator[str]:
    """Serve the store of a home on a free port, and give its address.

    Args:
        home: as in `ABP_HOME`.
        folder: where the server runs and writes its log.
    """
    port = free_port()
    environment = {**os.environ, "ABP_HOME": str(home), "STREAMLIT_SERVER_HEADLESS": "true"}
    environment.pop("ABP_DATABASE_URL", None)
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

    def open(self, path: str, *, width: int = 1280, height: int = 1200, scheme: str = "light") -> None:
        """Open a page and wait for its table."""
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.browser.get(self.address + path)
        self.wait_for(TABLE)

    def wait_for(self, selector: str) -> None:
        WebDriverWait(self.browser, PATIENCE_SECONDS).until(
            lambda browser: browser.find_elements(By.CSS_SELECTOR, selector)
        )

    def text(self, selector: str) -> str:
        return " ".join(self.browser.find_element(By.CSS_SELECTOR, selector).text.split())

    def run(self, script: str) -> Any:
        return self.browser.execute_script(f"return {script}")

    def assert_sound(self) -> None:
        """Check that nothing failed, in the page or in its console, and that nothing sticks out to the right."""
        assert self.browser.find_elements(By.CSS_SELECTOR, "[data-testid='stException']") == []
        severe = [line for line in self.browser.get_log("browser") if line["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
        assert severe == []
        article = "document.querySelector('article.abp')"
        assert self.run(f"{article}.scrollWidth") <= self.run(f"{article}.clientWidth")


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
