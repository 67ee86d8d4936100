"""Published moments look by look: known counts of real experiments, and files that cannot be right."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from scipy import stats
from typer.testing import CliRunner

from ab_platform.cli.main import app
from ab_platform.datasets.moments_file import read
from ab_platform.errors import DataError, PlatformError
from ab_platform.published import Comparison, judge
from ab_platform.statistics.confidence_sequence import tuned

HEAD = "experiment_id,variant_id,metric_id,time_since_start,count_c,count_t,mean_c,mean_t,variance_c,variance_t"
EARLY = "e,1,m,1,1000,1000,1.0,1.1,1.0,1.0"  # 2.2 standard errors apart: the fixed test calls it
LATE = "e,1,m,2,4000,4000,1.0,1.01,1.0,1.0"  # 0.4 standard errors


def file(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "moments.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def asos() -> Path:
    home = os.environ.get("ABP_DATA_HOME")
    if not home:
        pytest.skip("ABP_DATA_HOME is not set; point it at the folder that holds asos/")
    path = Path(home) / "asos" / "asos_digital_experiments_dataset.parquet"
    if not path.exists():
        pytest.skip(f"ABP_DATA_HOME has no {path.name} in asos/")
    return path


def only(path: Path) -> Comparison:
    [found] = judge(path).comparisons
    return found


# Known answers


def test_asos_experiments_are_significant_at_the_last_look_as_often_as_published() -> None:
    found = judge(asos())
    assert [(each.metric, each.fixed.last, each.comparisons) for each in found.metrics] == [
        ("1", 26, 99),
        ("2", 27, 94),
        ("3", 25, 94),
        ("4", 27, 94),
    ]
    for each in found.metrics:
        assert each.comparisons + each.without_numbers == 99
        # Whoever peeks with the fixed test calls more, and more of it is gone: that is what the sequence is for.
        assert each.sequential.some < each.fixed.some
        assert each.sequential.gone < each.fixed.gone
        assert each.days_later is not None
        assert each.days_later > 0.0


def test_the_fixed_verdict_is_welchs_test(tmp_path: Path) -> None:
    found = only(file(tmp_path, EARLY))
    expected = stats.ttest_ind_from_stats(1.1, 1.0, 1000, 1.0, 1.0, 1000, equal_var=False).pvalue
    assert found.fixed is not None
    assert found.fixed.p_value == pytest.approx(expected, rel=1e-9)
    assert found.looks[0].lift == pytest.approx(0.1, rel=1e-12)


def test_the_sequential_verdict_is_the_sequence_tuned_for_the_users_of_the_last_look(tmp_path: Path) -> None:
    found = only(file(tmp_path, EARLY, LATE))
    assert found.tuned_for == 8000
    statistic = 0.1 / math.sqrt(0.002)
    expected = tuned(8000, 0.05).p_value(statistic, users=2000, degrees=1998.0)
    assert found.looks[0].sequential_p_value == pytest.approx(expected, rel=1e-9)
    [planned] = judge(file(tmp_path, EARLY, LATE), users=2000).comparisons
    assert planned.looks[0].sequential_p_value != found.looks[0].sequential_p_value


def test_what_peeking_called_and_the_last_look_does_not_is_gone(tmp_path: Path) -> None:
    found = judge(file(tmp_path, EARLY, LATE))
    [tally] = found.metrics
    assert (tally.fixed.last, tally.fixed.some, tally.fixed.gone) == (0, 1, 1)
    assert (tally.sequential.last, tally.sequential.some, tally.sequential.gone) == (0, 0, 0)
    assert (tally.both, tally.days_later) == (0, None)


def test_days_later_counts_from_the_first_fixed_look_to_the_first_sequential_one(tmp_path: Path) -> None:
    [tally] = judge(file(tmp_path, EARLY, "e,1,m,3.5,4000,4000,1.0,1.2,1.0,1.0")).metrics
    assert (tally.both, tally.days_later) == (1, 2.5)


def test_an_effect_that_turns_leaves_the_intervals_nothing_in_common(tmp_path: Path) -> None:
    rows = ["e,1,m,1,10000,10000,1.0,1.2,1.0,1.0", "e,1,m,2,20000,20000,1.0,0.9,1.0,1.0"]
    assert only(file(tmp_path, *rows)).moved_days == 2.0


# Files


def test_rows_may_come_in_any_order_and_as_parquet(tmp_path: Path) -> None:
    sorted_file = read(file(tmp_path, EARLY, LATE, "a,10,m,1,9,9,1,1,1,1", "a,9,m,1,9,9,1,1,1,1"))
    shuffled = file(tmp_path, "a,10,m,1,9,9,1,1,1,1", LATE, "a,9,m,1,9,9,1,1,1,1", EARLY)
    assert read(shuffled) == sorted_file
    assert [(each.experiment, each.variant) for each in sorted_file] == [("a", "9"), ("a", "10"), ("e", "1")]
    pq.write_table(csv.read_csv(shuffled), tmp_path / "moments.parquet")
    assert read(tmp_path / "moments.parquet") == sorted_file


def test_a_look_without_a_variance_has_no_verdict_but_a_reason(tmp_path: Path) -> None:
    found = judge(file(tmp_path, EARLY, "e,1,m,2,4000,4000,1.0,1.1,1.0,", "e,2,m,1,5,5,1,,1,"))
    first, second = found.comparisons
    assert first.looks[1].reason == "variance_t is empty"
    assert first.looks[1].fixed_p_value is None
    assert first.fixed is not None
    assert first.fixed.p_value == first.looks[0].fixed_p_value
    assert (second.fixed, second.looks[0].reason) == (None, "mean_t and variance_t are empty")
    assert any("2 of 3 looks lack a number" in sentence for sentence in found.told)
    assert found.metrics[0].without_numbers == 1


def test_a_look_before_the_first_user_has_a_reason(tmp_path: Path) -> None:
    found = only(file(tmp_path, "e,1,m,1,0,0,0,0,0,0", EARLY.replace(",1,1000", ",2,1000")))
    assert found.looks[0].reason == "control has 0 users; at least 2 are required"
    assert found.looks[1].fixed_p_value is not None


def test_counts_that_shrink_are_told(tmp_path: Path) -> None:
    told = judge(file(tmp_path, EARLY, "e,1,m,2,1500,900,1.0,1.1,1.0,1.0")).told
    assert any("1 looks count fewer users than the look before them" in sentence for sentence in told)
    assert not any("fewer users" in sentence for sentence in judge(file(tmp_path, EARLY, LATE)).told)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("e,1,m,1,10,10,1,1,-0.5,1", r"row 2: variance_c is -0\.5; a variance must be at least 0"),
        ("e,1,m,1,10.5,10,1,1,1,1", r"row 2: count_c is 10\.5; it must be a whole number of users"),
        ("e,1,m,1,10,,1,1,1,1", r"row 2: count_t is empty; it must be a whole number"),
        ("e,1,m,1,-1,10,1,1,1,1", r"row 2: count_c is -1; it must be a whole number"),
        ("e,1,m,,10,10,1,1,1,1", r"row 2: time_since_start is empty; it must be days"),
        ("e,1,m,1,10,10,inf,1,1,1", r"row 2: mean_c is inf; it must be finite"),
        ("e,1,m,1,10,10,1,1,1,much", r"column 'variance_t' holds string; it must hold numbers"),
        (EARLY, r"experiment e, variant 1, metric m has two rows at time_since_start 1"),
    ],
)
def test_a_row_that_no_users_could_have_made_is_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(file(tmp_path, EARLY, row))


def test_a_missing_column_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    wrong = file(tmp_path, EARLY, head=HEAD.replace("variance_t", "varianc_t"))
    with pytest.raises(DataError, match=r"has no column variance_t; did you mean 'varianc(e_c|_t)'\? It must have exp"):
        read(wrong)


def test_a_file_without_rows_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no rows"):
        read(file(tmp_path))
    with pytest.raises(DataError, match=r"is no file"):
        read(tmp_path / "nothing.csv")
    (tmp_path / "no.parquet").write_text("no", encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot be read"):
        read(tmp_path / "no.parquet")


@pytest.mark.parametrize(("alpha", "users"), [(0.0, None), (1.0, None), (0.05, 0)])
def test_options_out_of_range_are_refused(tmp_path: Path, alpha: float, users: int | None) -> None:
    with pytest.raises(PlatformError):
        judge(file(tmp_path, EARLY), alpha=alpha, users=users)


# The verb


def test_the_table_and_the_json_say_the_same(tmp_path: Path) -> None:
    path = str(file(tmp_path, EARLY, LATE))
    table = CliRunner().invoke(app, ["looks", path, "--rows"])
    assert table.exit_code == 0
    assert "1, gone" in table.output
    whole = json.loads(CliRunner().invoke(app, ["looks", path, "--rows", "--json"]).stdout)
    short = json.loads(CliRunner().invoke(app, ["looks", path, "--json"]).stdout)
    assert whole["metrics"] == short["metrics"]
    assert [len(each["looks"]) for each in (whole["comparisons"][0], short["comparisons"][0])] == [2, 0]
    assert whole["comparisons"][0]["fixed"]["gone"] is True
