"""Documents: what commands found, kept whole and given back as it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from ab_platform.documents import Document, plain, restored
from ab_platform.errors import StoreError
from ab_platform.storage.store import Store
from ab_platform.training_log import Training

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
TRAINING = Training(2, 3, 0.1 + 0.2, 1.5, "cpu", "float32", {"loss": 1e-300}, (0.25, 1 / 3, 0.3), 60)
DOCUMENT = Document("training", "an artifact", NOW, plain(TRAINING))


def test_what_was_written_comes_back_to_the_last_digit(store: Store) -> None:
    assert store.write_document(DOCUMENT)
    found = store.document("training", "an artifact")
    assert found == DOCUMENT
    assert restored(Training, found) == TRAINING


def test_the_same_content_again_changes_nothing(store: Store) -> None:
    store.write_document(DOCUMENT)
    assert not store.write_document(replace(DOCUMENT, written_at=NOW + timedelta(hours=1)))
    assert store.documents("training") == {"an artifact": NOW}


def test_other_content_takes_the_place_of_what_was_there(store: Store) -> None:
    store.write_document(DOCUMENT)
    later = Document("training", "an artifact", NOW + timedelta(hours=1), plain(replace(TRAINING, best_epoch=3)))
    assert store.write_document(later)
    assert store.document("training", "an artifact") == later


def test_documents_are_listed_by_kind_the_newest_first(store: Store) -> None:
    for hours, name in ((1, "ml-1m"), (3, "gowalla"), (2, "small")):
        store.write_document(Document("comparison", name, NOW + timedelta(hours=hours), {"of": name}))
    store.write_document(Document("geometry", "ml-1m", NOW, {"of": "a geometry"}))
    assert list(store.documents("comparison")) == ["gowalla", "small", "ml-1m"]
    assert store.documents("geometry") == {"ml-1m": NOW}
    found = store.document("geometry", "ml-1m")
    assert found is not None
    assert found.content == {"of": "a geometry"}


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.document("comparison", "ml-1m") is None
    assert store.documents("comparison") == {}


@dataclass(frozen=True)
class Other:
    best_epoch: str
    inside: Training


def test_a_document_of_another_version_names_the_place_and_the_command() -> None:
    with pytest.raises(
        StoreError, match=r"training 'an artifact' is of another version .* at best_epoch; .*`abp train`"
    ):
        restored(Other, DOCUMENT)


def test_a_number_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        plain(replace(TRAINING, seconds=float("nan")))
