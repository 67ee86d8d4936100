"""The dashboard's benchmark, small: its store, its pages, its bars, and a page measured in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select

from ab_platform.storage.connection import reading
from ab_platform.storage.schema import exposures
from ab_platform.storage.store import Store, open_store
from benchmarks.dashboard import report
from benchmarks.dashboard.__main__ import main
from benchmarks.dashboard.measuring import Measured
from benchmarks.dashboard.pages import pages
from benchmarks.dashboard.world import Size, key_of, make, visitor
from dashboards.app import HOME, SECTIONS
from tests.dashboards.browser import CHROMEDRIVER, CHROMIUM

SIZE = Size(experiments=2, days=3, users=2_000)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a store of the benchmark's, small."""
    folder = tmp_path_factory.mktemp("home")
    make(folder, SIZE)
    return folder


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{home / 'abp.db'}", migrate=False)) as opened:
        yield opened


def test_every_experiment_is_analysed_on_every_day_and_every_user_is_exposed(store: Store) -> None:
    assert len(store.experiments()) == 2
    assert [len(store.as_ofs(key_of(number))) for number in range(2)] == [3, 3]
    assert len(store.headlines()) == 6
    with reading(store.engine) as connection:
        query = select(exposures.c.experiment, func.count()).group_by(exposures.c.experiment)
        exposed = {key: count for key, count in connection.execute(query)}  # noqa: C416
    assert exposed == {key_of(0): 1_000, key_of(1): 1_000}


def test_a_store_that_is_there_is_used_again(home: Path) -> None:
    path = home / "abp.db"
    before = path.stat().st_mtime_ns
    assert make(home, Size()) == SIZE
    assert path.stat().st_mtime_ns == before


def test_the_user_whose_page_is_opened_has_several_pages_of_slates(store: Store) -> None:
    launch = store.experiment(key_of(1))
    user, arm = visitor(launch)
    assert arm in {each.name for each in launch.experiment.arms}
    assert store.raw_events(key_of(1)).stored == 60 * 11
    assert user.startswith("user-")


def test_every_page_of_the_dashboard_is_measured() -> None:
    found = pages("a-key", "a-user")
    assert [(each.module, each.title) for each in found] == [page for of in SECTIONS.values() for page in of]
    assert found[0].module == HOME
    assert [found[0].path, found[1].path] == ["?", "results?experiment=a-key"]


def measured(page: str, *, cold: float = 1.0, warm: float = 1.0, rerun: float = 0.05, click: float = 0.1) -> Measured:
    thrice = [(each, each, 9.0) for each in (cold, warm, rerun, click)]
    return Measured(page, thrice[0], thrice[1], thrice[2], thrice[3], "turn a dial")


def test_a_bar_holds_by_the_median_of_the_slowest_page() -> None:
    rows = report.bars([measured("Results"), measured("Planner", warm=1.9, click=0.21)])
    assert [(found, holds) for _, found, holds in rows] == [
        ("1.00 s at most (Results)", True),
        ("1.90 s at most (Planner)", True),
        ("0.05 s at most (Results)", True),
        ("0.21 s at most (Planner)", False),
    ]


def test_the_section_says_what_does_not_hold_and_how_slow_each_page_was_at_worst() -> None:
    text = report.section([measured("Planner", cold=2.5)], SIZE, 1.25, command="a command", rounds=3)
    assert "2 experiments of two arms, each analysed as of 3 days, and 2,000 exposed users" in text
    assert "**does not hold**" in text
    assert "| Planner | 2.50 (9.00) | 1.00 (9.00) | 0.05 (9.00) | 0.10 (9.00) | turn a dial |" in text


@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="chromium or chromium-driver is not installed")
@pytest.mark.xdist_group("browser")
def test_a_page_is_measured_in_a_browser_and_written_down(home: Path, tmp_path: Path) -> None:
    output = tmp_path / "speed.md"
    main(["--home", str(home), "--rounds", "1", "--only", "results", "--output", str(output)])
    text = output.read_text(encoding="utf-8")
    assert text.startswith("# The dashboard's speed\n")
    [row] = [line for line in text.splitlines() if line.startswith("| Results")]
    seconds = [float(cell.split()[0]) for cell in row.split("|")[2:6]]
    assert all(0.0 < each < 60.0 for each in seconds)
