"""Data sets into the store: all of it or nothing, and only once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ab_platform.datasets import files
from ab_platform.datasets.catalog import NAMES
from ab_platform.datasets.ingest import Ingested, ingest
from ab_platform.datasets.naming import ColumnNames
from ab_platform.datasets.source import IngestProgress
from ab_platform.errors import DataError
from ab_platform.lineage import Title
from ab_platform.storage.keeping import ingested as keeping
from ab_platform.storage.store import Store
from tests.datasets.layouts import ML_1M, ML_LATEST, unpacked, zipped

AT = datetime(2026, 3, 1, tzinfo=UTC)


def bring(store: Store, source: Path | str, *, name: str | None = None, skip_bad: bool = False) -> Ingested:
    return ingest(
        store, str(source), data_home=Path("nowhere"), at=AT, name=name, skip_bad=skip_bad, allow_download=False
    )


def test_interactions_and_titles_arrive(store: Store, tmp_path: Path) -> None:
    done = bring(store, zipped(tmp_path / "mine.zip", ML_1M, top="x"))
    assert done.changed
    assert done.dataset == store.dataset("mine")
    counts = (done.dataset.interactions, done.dataset.users, done.dataset.titles, done.dataset.bad_rows)
    assert counts == (3, 2, 3, 0)
    assert (done.dataset.source, done.dataset.ingested_at) == (str(tmp_path / "mine.zip"), AT)
    assert store.titles("mine")["73"] == Title("73", "Misérables, Les", ("Drama", "Musical"), 1995)
    columns = store.interactions("mine", least_rating=4.0)
    assert (columns.users, columns.titles, columns.at.tolist()) == (("1", "2"), ("1193",), [978300760, 978298413])


def test_a_second_ingest_changes_nothing_and_writes_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bring(store, unpacked(tmp_path / "mine", ML_1M))
    monkeypatch.delattr(keeping.Ingested, "ingesting")
    second = bring(store, zipped(tmp_path / "mine.zip", ML_1M, top="x"))
    assert second == Ingested(first.dataset, changed=False)


def test_an_ingest_that_another_process_overtook_changes_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unpacked(tmp_path / "ml-1m", ML_1M)
    first = bring(store, folder)
    seen = iter([None, store.dataset(first.dataset.dataset)])
    monkeypatch.setattr(store, "dataset", lambda name: next(seen))
    assert bring(store, folder) == Ingested(first.dataset, changed=False)


def test_other_content_under_a_known_name_is_refused(store: Store, tmp_path: Path) -> None:
    first = bring(store, unpacked(tmp_path / "mine", ML_1M))
    other = unpacked(tmp_path / "new" / "mine", ML_LATEST)
    was = first.dataset.content_hash[:12]
    with pytest.raises(
        DataError, match=rf"'mine' is there with other content: {was} from .*, now [0-9a-f]{{12}} from .* --name"
    ):
        bring(store, other)
    assert bring(store, other, name="other").changed
    assert store.dataset("mine") == first.dataset


def test_a_title_that_nothing_names_is_called_by_its_id(store: Store, tmp_path: Path) -> None:
    ratings = ML_1M["ratings.dat"] + b"3::9999::5::978300760\n"
    done = bring(store, unpacked(tmp_path / "mine", ML_1M | {"ratings.dat": ratings}))
    assert done.dataset.titles == 4
    assert store.titles("mine")["9999"] == Title("9999", "9999")


def test_repeated_and_bad_rows_are_counted(store: Store, tmp_path: Path) -> None:
    ratings = ML_1M["ratings.dat"] + b"1::1193::2::978300999\n" + b"2::661::five::978300761\n"
    done = bring(store, unpacked(tmp_path / "mine", ML_1M | {"ratings.dat": ratings}), skip_bad=True)
    assert (done.dataset.interactions, done.dataset.repeated_rows, done.dataset.bad_rows) == (3, 1, 1)


def test_a_bad_row_at_the_end_leaves_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK_BYTES", 32)
    ratings = ML_1M["ratings.dat"] + b"2::661::five::978300761\n"
    folder = unpacked(tmp_path / "mine", ML_1M | {"ratings.dat": ratings})
    with pytest.raises(DataError) as refused:
        bring(store, folder)
    assert str(refused.value) == (
        "ratings.dat:4: rating is 'five'; it must be a number; "
        "mend the line, or count bad lines instead with --skip-bad"
    )
    assert store.dataset("mine") is None
    assert store.titles("mine") == {}
    assert len(store.interactions("mine", least_rating=0.0).users) == 0
    assert bring(store, folder, skip_bad=True).changed


def test_a_source_without_interactions_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("user,item\n")
    with pytest.raises(DataError, match=r"empty\.csv holds no interaction \(0 bad rows\); at least one is required"):
        bring(store, tmp_path / "empty.csv")
    assert store.datasets() == ()


def test_the_synthetic_world_needs_no_file_and_no_network(store: Store) -> None:
    done = bring(store, "synthetic")
    assert (done.dataset.dataset, done.dataset.users, done.dataset.titles) == ("synthetic", 2_000, 800)
    assert not bring(store, "synthetic").changed


def test_progress_tells_stage_and_share(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK_BYTES", 32)
    seen: list[IngestProgress] = []
    folder = unpacked(tmp_path / "mine", ML_1M)
    ingest(store, str(folder), data_home=tmp_path, at=AT, progress=seen.append)
    size = len(ML_1M["ratings.dat"])
    for stage in ("checking", "storing"):
        done = [each.done for each in seen if each.stage == stage]
        assert done == sorted(done)
        assert len(done) > 1
        assert done[-1] == size
    assert {(each.total, each.unit) for each in seen} == {(size, "bytes")}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("ml-1n", r"'ml-1n' is neither a file or folder nor a known data set; did you mean 'ml-1m'\?"),
        ("ml-20m", r"ml-20m is not in ABP_DATA_HOME: .* fetch https://files\.grouplens\.org/.*/ml-20m\.zip by hand"),
        ("million-song", r"million-song is not in ABP_DATA_HOME: .* put its files there: train_triplets\.txt"),
    ],
)
def test_what_is_not_there_is_refused_with_the_next_step(store: Store, source: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        bring(store, source)


def test_a_folder_in_no_known_layout_is_refused(store: Store, tmp_path: Path) -> None:
    unpacked(tmp_path / "mine", {"notes.txt": b"nothing", "ratings.csv": b"a,b\n"})
    with pytest.raises(DataError, match=r"mine holds notes\.txt, ratings\.csv; it must be in the layout of MovieLens"):
        bring(store, tmp_path / "mine")


def test_columns_can_be_named_for_tables_only(store: Store, tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "mine", ML_1M)
    with pytest.raises(DataError, match=r"mine is no CSV or Parquet file, so its columns cannot be named"):
        ingest(store, str(folder), data_home=tmp_path, at=AT, columns=ColumnNames(user="member"))


def test_every_name_has_a_line_and_is_told_when_it_is_not_there(store: Store) -> None:
    for name in set(NAMES) - {"synthetic"}:
        with pytest.raises(DataError, match=rf"^{name} is not in ABP_DATA_HOME"):
            bring(store, name)
        assert len(NAMES[name].splitlines()) == 1
