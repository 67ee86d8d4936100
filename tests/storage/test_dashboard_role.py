"""The role that the dashboard reads with, made by the file that operators run, on a real PostgreSQL."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from ab_platform import analysis
from ab_platform.access import mint
from ab_platform.errors import StoreError
from ab_platform.storage.connection import writing
from ab_platform.storage.schema import metadata
from ab_platform.storage.store import Store, Whose, open_store
from tests.dashboards.stored import analyse, launch, replay
from tests.readouts import readout

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "deploy" / "postgres" / "dashboard-role.sql"
KEY = "pia-vs-multivae"
AT = datetime(2025, 3, 3, tzinfo=UTC)

STORE = re.compile(r"\b(store|opened)\b")
"""What the pages call a store."""

READS: dict[str, Callable[[Store], object]] = {
    "alerts": lambda store: store.alerts(KEY),
    "artifact": lambda store: store.artifact("artifact-of-pia"),
    "artifacts": lambda store: store.artifacts(),
    "as_ofs": lambda store: store.as_ofs(KEY),
    "changes": lambda store: store.changes(KEY),
    "dataset": lambda store: store.dataset("small"),
    "datasets": lambda store: store.datasets(),
    "document": lambda store: store.document("comparison", "small"),
    "documents": lambda store: store.documents("comparison"),
    "experiment": lambda store: store.experiment(KEY),
    "experiments": lambda store: store.experiments(),
    "first_exposures": lambda store: store.first_exposures("user1", (KEY,)),
    "headlines": lambda store: store.headlines(),
    "lift_history": lambda store: store.lift_history(KEY),
    "made_up_experiments": lambda store: store.made_up_experiments(),
    "newest_checks": lambda store: store.newest_checks(),
    "newest_decisions": lambda store: store.newest_decisions(),
    "newest_sample_ratios": lambda store: store.newest_sample_ratios(),
    "readout": lambda store: analysis.readout(store, KEY),
    "split_history": lambda store: store.split_history(KEY),
    "study_trials": lambda store: store.study_trials("study"),
    "titles": lambda store: store.titles("small"),
    "tokens": lambda store: store.tokens(),
    "trials": lambda store: store.trials("pia", "hash", "version"),
    "user_story": lambda store: store.user_story(Whose(KEY, "small", "user1"), count=5),
}
"""What the pages read, by the store's method."""

KEPT = ("assignments", "open_user_days", "user_days")
"""Tables of users that no page reads."""


@pytest.fixture
def owner(postgres_url: str) -> Iterator[Store]:
    """The platform's own store, with the role made twice, as operators do after each migration."""
    with closing(open_store(postgres_url, migrate=False)) as store:
        launch(store)
        analyse(store, readout(truths=()))
        replay(store, users=5)
        token, _ = mint("ada", ["read"], at=AT, secret=b"s" * 32)
        store.add_token(token)
        for _ in range(2):
            _run(postgres_url, ROLE.read_text(encoding="utf-8"))
        yield store


@pytest.fixture
def url(owner: Store) -> Iterator[str]:
    """The address of somebody who has the role."""
    _run(owner.url, "CREATE USER dashboard PASSWORD 'secret' IN ROLE abp_dashboard")
    yield make_url(owner.url).set(username="dashboard", password="secret").render_as_string(hide_password=False)
    _run(owner.url, "DROP USER dashboard")


@pytest.fixture
def reader(url: str) -> Iterator[Store]:
    """A store opened by the role alone: not for reading only, so that the role itself has to refuse."""
    with closing(open_store(url, migrate=False)) as store:
        yield store


@pytest.mark.parametrize("name", READS)
def test_the_role_reads_what_the_pages_read(owner: Store, reader: Store, name: str) -> None:
    assert READS[name](reader) == READS[name](owner)


def test_every_read_of_the_pages_is_among_them() -> None:
    assert _called_on_stores() <= set(READS)


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_the_role_writes_nothing(reader: Store, table: str) -> None:
    with (
        pytest.raises(StoreError, match="does not let this role do that: permission denied"),
        writing(reader.engine) as connection,
    ):
        connection.execute(text(f"DELETE FROM {table}"))


@pytest.mark.parametrize("table", KEPT)
def test_the_role_does_not_see_what_no_page_shows(reader: Store, table: str) -> None:
    with (
        pytest.raises(StoreError, match=f"permission denied for table {table}"),
        writing(reader.engine) as connection,
    ):
        connection.execute(text(f"SELECT * FROM {table}"))


def test_the_role_stops_no_experiment(owner: Store, reader: Store) -> None:
    with pytest.raises(StoreError, match="permission denied"):
        reader.stop(KEY, at=AT)
    assert owner.experiment(KEY).state == "running"


def _called_on_stores() -> set[str]:
    """Find the store's methods that the dashboard's modules call."""
    methods = {name for name in dir(Store) if not name.startswith("_")} - {"close", "url"}
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "dashboards").rglob("*.py")]
    calls = [node.func for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        func.attr
        for func in calls
        if isinstance(func, ast.Attribute) and func.attr in methods and STORE.search(ast.unparse(func.value))
    }


def _run(url: str, statements: str) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statements)
    engine.dispose()
