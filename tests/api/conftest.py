"""A service on a small world: real arms, a real database, in this process or in processes of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ab_platform import launching
from ab_platform.access import Scope, mint
from ab_platform.api.app import Web, create
from ab_platform.pseudonym import Pseudonyms
from ab_platform.service.worker import Options, Worker
from ab_platform.storage.store import Store, open_store
from ab_platform.training import Workshop, snapshot
from tests.small_world import EXPERIMENT, fill

RUNNING = replace(EXPERIMENT, key="small-run", salt="small-run", ramp=(), starts_on=datetime.now(UTC).date(), days=14)


@dataclass(frozen=True)
class Home:
    """A folder with a database and trained arms, in which an experiment runs."""

    folder: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'abp.db'}"

    @property
    def workshop(self) -> Workshop:
        return Workshop(self.folder / "artifacts", self.folder / "checkpoints", device="cpu")

    def store(self) -> Store:
        return open_store(self.url, migrate=False)


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home made once, to copy: training takes a second, copying none."""
    home = Home(tmp_path_factory.mktemp("home"))
    store = open_store(home.url, migrate=True)
    fill(store)
    launching.launch(store, home.workshop, RUNNING, snapshot(store, RUNNING.data), at=datetime.now(UTC))
    store.close()
    return home


@pytest.fixture
def home(made_home: Home, tmp_path: Path) -> Home:
    """A home of the test's own."""
    shutil.copytree(made_home.folder, tmp_path / "home")
    return Home(tmp_path / "home")


@dataclass
class Service:
    """A service in this process."""

    home: Home
    client: TestClient
    worker: Worker
    store: Store

    def token(self, *scopes: Scope, experiments: frozenset[str] | None = None, rate: float | None = None) -> str:
        """Make a token, and let the service learn of it."""
        secret = f"{scopes}{experiments}{rate}".encode().ljust(32, b"\0")[:32]
        made, text = mint(
            "a client", scopes, at=datetime.now(UTC), secret=secret, experiments=experiments, requests_per_second=rate
        )
        self.store.add_token(made)
        self.worker.refresh()
        return text


def start(home: Home, web: Web, *, key: str | None = None, deadline_ms: float = 10_000.0) -> Iterator[Service]:
    """Run a service; its deadline is one that a machine with much else to do keeps as well."""
    store = home.store()
    options = Options(home.folder / "service", deadline_ms=deadline_ms)
    worker = Worker(options, home.store(), home.workshop, Pseudonyms(key))
    with TestClient(create(worker, web), raise_server_exceptions=False) as client:
        yield Service(home, client, worker, store)
    store.close()


@pytest.fixture
def service(home: Home) -> Iterator[Service]:
    """A service that needs no token."""
    yield from start(home, Web(open_to_all=True))


@pytest.fixture
def guarded(home: Home) -> Iterator[Service]:
    """A service that needs tokens."""
    yield from start(home, Web())
