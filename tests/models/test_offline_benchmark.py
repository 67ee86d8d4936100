"""The offline benchmarks: their statistics, their files, and a small run on real data where it is there."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from benchmarks import gowalla, records
from benchmarks.offline import movielens, paired_interval
from models.ranking import evaluate
from models.recommender import FitOptions
from models.registry import create

DATA = os.environ.get("ABP_DATA_HOME")
needs_data = pytest.mark.skipif(
    DATA is None or not (Path(DATA) / "ml-1m.zip").exists(), reason="ABP_DATA_HOME names no folder with ml-1m.zip"
)


def test_the_paired_interval_is_that_of_the_t_test() -> None:
    differences = np.random.default_rng(0).normal(0.1, 1.0, 50)
    expected = ttest_1samp(differences, 0).confidence_interval(0.95)
    assert paired_interval(differences) == pytest.approx((differences.mean(), expected.low, expected.high))


def test_a_section_replaces_its_earlier_text_and_leaves_the_others(tmp_path: Path) -> None:
    document = tmp_path / "offline.md"
    for name, text in (("one", "first"), ("two", "second"), ("one", "third")):
        records.put_section(document, name, text)
    text = document.read_text()
    assert text.startswith("# Offline results\n")
    assert "first" not in text
    assert text.index("third") < text.index("second")
    assert text.count("<!-- one: begin -->") == text.count("<!-- one: end -->") == 1
    records.put_section(document, "two", "second")
    assert document.read_text() == text


def test_records_come_back_by_key(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.jsonl"
    assert records.read(path) == {}
    records.append(path, {"key": "a", "ndcg": 0.4})
    records.append(path, {"key": "b", "ndcg": 0.5})
    assert {key: record["ndcg"] for key, record in records.read(path).items()} == {"a": 0.4, "b": 0.5}


def test_what_the_epoch_is_chosen_on_is_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gowalla, "VALIDATION_USERS", 20)
    rng = np.random.default_rng(0)
    train = gowalla.matrix(gowalla.Pairs(rng.integers(0, 50, 2_000), rng.integers(0, 200, 2_000)), (50, 200))
    rest, validation = gowalla.hold_out(train)
    chosen = [int(user) for user in validation.users]
    assert len(chosen) == 20
    assert (train - rest).nnz == validation.held_out.nnz == train.nnz - rest.nnz
    np.testing.assert_array_equal((validation.fold_in + validation.held_out).toarray(), train[chosen].toarray())
    lengths = np.diff(train.indptr)[chosen]
    np.testing.assert_array_equal(np.diff(validation.held_out.indptr), np.floor(lengths / 10))


@needs_data
def test_a_few_epochs_on_movielens_beat_popularity() -> None:
    split = movielens(Path(DATA or "") / "ml-1m.zip")
    assert (len(split.validation.users), len(split.test.users)) == (500, 1_000)
    popularity = create("popularity")
    popularity.fit(split.train, None, FitOptions())
    arm = create("pia", {"hidden": 100, "latent": 32, "batch": 100, "epochs": 6})
    arm.fit(split.train, None, FitOptions(threads=1))
    control, treatment = (evaluate(each, split.validation).ndcg_100 for each in (popularity, arm))
    assert paired_interval(treatment - control)[1] > 0.03
