"""Several experiments analysed together are what each is alone, and one that fails does not keep the others from it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ab_platform.analysis import analyze, analyze_all
from ab_platform.errors import ExperimentError, NotFoundError
from ab_platform.experiment import AnalysisRule
from ab_platform.storage.store import Store
from tests.analysis.made import DATASET, START, definition, launched, visits
from tests.analysis.test_warehouse import reading

KEYS = ("one", "two", "three")


@pytest.fixture
def several(store: Store) -> Store:
    """Three experiments of the same users, after and beside each other, one of them with another table."""
    store.write_attributes(DATASET, "device", [(f"user-{user}", "tv") for user in range(0, 60, 2)])
    rule = AnalysisRule(covariates=("before",), segments=("device", "cohort"))
    for place, key in enumerate(KEYS):
        table = {"secondary": ("home_card.play_duration_median",)} if key == "three" else {}
        launch = launched(store, definition(key, analysis=rule, **table), at=START + timedelta(days=3 * place))
        store.record(visits(launch, 60, seed=place, factor=1.2))
    return store


def test_each_is_what_it_is_alone(several: Store, tmp_path: Path) -> None:
    several.roll_up()
    with reading(several, tmp_path / "archive") as reads:
        told: list[tuple[str, int, int]] = []
        found = analyze_all(
            several, KEYS, reads=reads, progress=lambda stage, done, total: told.append((stage, done, total))
        )
    assert not found.failed
    assert found.readouts == tuple(analyze(several, key) for key in KEYS)
    assert told[0][0] == "read users"
    assert told[-1] == ("analyze experiments", 3, 3)


def test_so_it_is_from_the_database_as_of_a_day(several: Store) -> None:
    day = START.date() + timedelta(days=7)
    found = analyze_all(several, [*KEYS, KEYS[0]], as_of=day)
    assert found.readouts == tuple(analyze(several, key, as_of=day) for key in KEYS)


def test_one_that_cannot_be_analysed_does_not_keep_the_others_from_it(
    several: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched(several, definition("silent"))
    odd = launched(several, definition("odd", analysis=AnalysisRule(covariates=(), segments=("devise",))))
    several.record(visits(odd, 5))
    write = several.write_readout

    def written(stored: object) -> None:
        if stored.look.experiment == "two":  # type: ignore[attr-defined]
            raise ZeroDivisionError("made to fail")
        write(stored)  # type: ignore[arg-type]

    monkeypatch.setattr(several, "write_readout", written)
    found = analyze_all(several, ["silent", *KEYS, "odd", "thre"])
    assert [each.experiment for each in found.readouts] == ["one", "three"]
    assert {key: type(error) for key, error in found.failed.items()} == {
        "silent": NotFoundError,
        "odd": ExperimentError,
        "thre": NotFoundError,
        "two": ZeroDivisionError,
    }
    assert "three" in str(found.failed["thre"])


def test_a_damaged_file_is_told_of_by_the_experiment_that_needs_it(several: Store, tmp_path: Path) -> None:
    several.roll_up()
    with reading(several, tmp_path / "archive") as reads:
        for path in (tmp_path / "archive").glob(f"exposures/day={START.date()}/*"):
            path.unlink()
        found = analyze_all(several, KEYS, as_of=START.date() + timedelta(days=7), reads=reads)
    assert [each.experiment for each in found.readouts] == ["two", "three"]
    assert "is missing" in str(found.failed["one"])
