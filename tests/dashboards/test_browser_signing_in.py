"""Sign-in at an OpenID Connect provider, in a real browser and at a provider that is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from ab_platform.storage.store import open_store
from tests.dashboards.browser import CHROMEDRIVER, CHROMIUM, Reader, reading, served
from tests.dashboards.stored import analyse, launch
from tests.readouts import readout

pytest.importorskip("authlib", reason="authlib is not installed")

from tests.dashboards.provider import CLIENT, SECRET, providing

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromium-driver is not installed"),
    pytest.mark.xdist_group("browser"),
]

LIST = ".abp.overview table"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with closing(open_store(f"sqlite:///{tmp_path / 'abp.db'}", migrate=True)) as store:
        launch(store)
        analyse(store, readout())
    return tmp_path


@contextmanager
def visiting(home: Path, profile: Path, *, email: str, **variables: str) -> Iterator[Reader]:
    """Serve the dashboard with a provider that knows one person, and come as them."""
    with providing(email=email, email_verified=True) as provider:
        secrets = home / ".streamlit" / "secrets.toml"
        secrets.parent.mkdir()
        secrets.write_text(
            "[auth]\n"
            'redirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            f'cookie_secret = "{"c" * 40}"\nclient_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
            f'server_metadata_url = "{provider.issuer}/.well-known/openid-configuration"\n',
            encoding="utf-8",
        )
        with (
            served(home, home, ABP_DASHBOARD_SIGN_IN="oidc", **variables) as address,
            reading(address, profile) as reader,
        ):
            reader.open("", wait_for=".stButton button")
            assert "your organisation's sign-in" in reader.text(".abp-frame.heading")
            reader.click(".stButton button")
            yield reader


def test_an_operator_comes_in_acts_and_goes(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    profile = tmp_path_factory.mktemp("profile")
    with visiting(home, profile, email="Ada@example.com", ABP_DASHBOARD_OPERATORS="ada@example.com") as reader:
        reader.settle(LIST)
        assert "ada@example.com · may look and act" in reader.text("[data-testid='stSidebar']")
        assert reader.browser.find_elements(By.CSS_SELECTOR, ".st-key-act button")
        reader.click(".st-key-sign-out button")
        reader.wait_until("!document.querySelector('.abp.overview')", "the list stayed")
        reader.wait_for(".abp-frame.heading")
        assert "Sign in" in reader.text(".abp-frame.heading")


def test_who_may_not_look_is_told_so(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    profile = tmp_path_factory.mktemp("profile")
    with visiting(home, profile, email="eve@example.com", ABP_DASHBOARD_READERS="example.org") as reader:
        reader.wait_for(".abp-frame.notice")
        assert "eve@example.com may not look at this dashboard" in reader.text(".abp-frame.notice")
        assert reader.browser.find_elements(By.CSS_SELECTOR, LIST) == []
