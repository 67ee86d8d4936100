"""The benchmark of the analysis, small: every side finds the same, and the report tells what was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ab_platform.events import SURFACES
from ab_platform.storage.archive import shards_of
from ab_platform.storage.archive.layout import SORTED_BY
from benchmarks.analysis import agreeing, data, files, many, measuring, picture, report, truth
from benchmarks.analysis.answers import Row
from benchmarks.analysis.contenders import contender, growthbook
from benchmarks.analysis.many import Many
from benchmarks.analysis.measuring import Measured, Once
from benchmarks.analysis.world import ARMS, KEY, Data

pytest.importorskip("duckdb", reason="DuckDB is not installed")

pytestmark = pytest.mark.xdist_group("analysis benchmark")  # so that the fixtures of the module are made once

USERS = 2_000
SIDES = ("archive", "incremental", "query", "sqlite", "tea_tasting", "growthbook")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Two thousand users in two shards."""
    made = Data(tmp_path_factory.mktemp("analysis"), USERS, shards=2, threads=1)
    data.make(made)
    return made


@pytest.fixture(scope="module")
def answered(small: Data) -> dict[str, Measured]:
    """What each side that can run here finds, asked in this process."""
    return {name: asked(name, small) for name in SIDES if contender(name).absent() is None}


def asked(name: str, small: Data) -> Measured:
    side = contender(name)
    side.prepare(small)
    with side.opened(small) as ask:
        return Measured(name, small.users, (Once(1.0, 1.0, 1, tuple(ask())),))


def took(name: str, users: int, seconds: float, memory: float = 1e9, rows: tuple[Row, ...] = ()) -> Measured:
    return Measured(name, users, (Once(seconds, seconds, int(memory), rows),))


def test_every_side_finds_the_same_lifts(answered: dict[str, Measured]) -> None:
    found = agreeing.agreements(list(answered.values()))
    assert {"incremental", "query", "sqlite", "tea_tasting"} <= {each.contender for each in found}
    assert [each for each in found if not each.holds] == []
    assert all(len(each.rows) == 6 for each in answered.values())


def test_a_digit_that_differs_is_told(answered: dict[str, Measured]) -> None:
    ours = answered["archive"]
    first, *others = ours.rows
    nudged = Row(**{**vars(first), "lift": float(np.nextafter(first.lift, 9.0))})
    found = agreeing.agreements([ours, took("sqlite", USERS, 1.0, rows=(nudged, *others))])
    assert [each.holds for each in found] == [False]


def test_the_query_in_growthbooks_manner_gives_our_lifts(small: Data, answered: dict[str, Measured]) -> None:
    ours = {(row.surface, row.metric): row for row in answered["archive"].rows}
    with files.connected(small) as connection:
        files.show(connection, small, small.days)
        for surface in SURFACES:
            control, treatment = growthbook.sums(connection, KEY, surface)
            for metric, over, under in (
                ("play_duration", "play", "users"),
                ("click_rate_per_view", "clicks", "views"),
                ("click_rate_per_user", "clicked", "users"),
            ):
                lift = (treatment[over] / treatment[under]) / (control[over] / control[under]) - 1.0
                assert lift == pytest.approx(ours[surface, metric].plain, rel=1e-9)
            assert control["users"] + treatment["users"] == ours[surface, "play_duration"].users


def test_users_are_drawn_into_their_shards_in_order_and_into_one_arm(small: Data) -> None:
    for day in small.days:
        for file in day.files:
            rows = pq.read_table(small.archive.folder / file.path)
            assert set(shards_of(rows["user_id"].to_pylist(), small.shards).tolist()) == {file.shard}
            keys = list(zip(*(rows[name].to_pylist() for name in SORTED_BY[file.table]), strict=True))
            assert keys == sorted(set(keys))
            assert set(rows["arm"].to_pylist()) == set(ARMS)


def test_a_side_is_measured_in_a_process_of_its_own(small: Data) -> None:
    found = measuring.once("floor", small)
    assert found.rows == ()
    assert found.seconds > 0.0
    assert found.memory > 10_000_000


def test_a_side_that_would_take_too_long_is_not_asked() -> None:
    before = [took("floor", 100, 40.0)]
    assert measuring.reason("floor", 300, before, patience=120.0) is None
    assert measuring.reason("floor", 400, before, patience=120.0) == (
        "about 160 s by the size before, over the 120 s that were given"
    )
    stopped = [*before, Measured("floor", 400, why="too long")]
    assert measuring.reason("floor", 1_600, stopped, patience=1e9) == "too long"


def test_bars_are_judged_at_the_papers_scale_alone() -> None:
    for users, expected in ((1_000, [None] * 4), (report.PAPER_USERS, [False, True, False, True])):
        found = [took("floor", users, 30.0), took("archive", users, 61.0, 3.9e9), took("incremental", users, 6.0)]
        assert [holds for _, _, holds in report.bars(found)] == expected


def test_growth_is_the_exponent_of_the_seconds() -> None:
    found = [took("archive", users, 3.0 * users**1.5) for users in (100, 400, 1_600)]
    assert report.exponent(found, "archive") == pytest.approx(1.5)
    assert report.exponent(found[:1], "archive") is None


def test_the_section_tells_who_was_not_asked_and_where_the_truth_lies(answered: dict[str, Measured]) -> None:
    found = [took("floor", USERS, 0.5), *answered.values(), Measured("postgresql", USERS, why="it is away")]
    text = report.section(found, command="a command", seconds=60.0, picture="images/scale.svg")
    assert "| ours, PostgreSQL | — |  |  | not asked: it is away |" in text
    assert "| every engine gives the same digits | 3 of 3 comparisons | holds |" in text
    assert "+169.31%" in text


def test_intervals_are_about_as_wide_as_planning_predicts(answered: dict[str, Measured]) -> None:
    rows = answered["archive"].rows
    for each in truth.known(rows, rows):
        assert 0.5 < each.row.half_width / each.predicted < 2.0


def test_many_experiments_are_set_against_one() -> None:
    rounds = tuple(Once(seconds, 1.0, 1, ()) for seconds in (4.0, 8.0))
    found = Many(100, 5_000, rounds, (Once(1.0, 1.0, 1, ()), Once(4.0, 1.0, 1, ())))
    assert found.ratio == 3.0
    assert "| 3.00 times | holds |" in report.many_section(found, command="a command")


def test_many_experiments_share_the_users_and_the_files(tmp_path: Path) -> None:
    drawn = Data(tmp_path, users=4_000, experiments=2, shards=1, threads=1)
    data.make(drawn)
    found = asked(many.CONTENDER, drawn)
    assert len(found.rows) == 12
    assert len({row.lift for row in found.rows}) == 12


def test_the_picture_has_a_line_for_each_side_that_was_asked(tmp_path: Path) -> None:
    found = [took("floor", users, users / 1e6) for users in (100, 400)]
    picture.draw([*found, Measured("spark", 100, why="it is away")], tmp_path / "scale.svg")
    drawn = (tmp_path / "scale.svg").read_text(encoding="utf-8")
    assert "bare scan" in drawn
    assert "Spark" not in drawn
