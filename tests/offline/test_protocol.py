"""The split of a data set, and of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ab_platform.errors import DataError
from ab_platform.offline import protocol
from ab_platform.offline.protocol import OfflineSplit, Protocol, export, of_dataset, of_folder
from ab_platform.storage.store import Store
from tests.small_world import DATASET

Like = tuple[str, str, float | None]


def ingested(store: Store, name: str, likes: Sequence[Like]) -> None:
    """Put interactions into a store; an unrated one has None."""
    with store.ingesting(name, "hash", "made by a test", datetime(2026, 3, 1, tzinfo=UTC)) as writer:
        users, titles, ratings = (list(column) for column in zip(*likes, strict=True))
        writer.write_interactions(users, titles, np.array(ratings, dtype=np.float64), None)
        writer.finish(0)


def everyone(offline: OfflineSplit) -> set[str]:
    parts = offline.split
    return {*parts.train.users, *parts.validation.users, *parts.test.users}


def test_a_tenth_of_the_users_choose_and_a_tenth_judge_and_nobody_is_in_two_parts(offline: OfflineSplit) -> None:
    parts = offline.split
    sizes = len(parts.train.users), len(parts.validation.users), len(parts.test.users)
    assert sizes == (320, 40, 40)
    assert len(everyone(offline)) == 400
    assert (offline.interactions == 12).all()
    assert not parts.train.times.any()
    assert offline.origin.startswith("ratings from 4 (all where there are none), users with at least 5 titles")


def test_the_same_protocol_gives_the_same_split_and_another_seed_another(filled: Store, offline: OfflineSplit) -> None:
    assert of_dataset(filled, DATASET).data_hash == offline.data_hash
    assert of_dataset(filled, DATASET, Protocol(seed=1)).data_hash != offline.data_hash


def test_held_out_users_are_as_many_as_asked_for_and_never_more_than_the_most(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = of_dataset(filled, DATASET, Protocol(validation_users=7, test_users=90)).split
    assert (len(asked.validation.users), len(asked.test.users)) == (7, 90)
    monkeypatch.setattr(protocol, "MOST_HELD_OUT", 12)
    bounded = of_dataset(filled, DATASET).split
    assert (len(bounded.validation.users), len(bounded.test.users)) == (12, 12)


def test_low_ratings_do_not_count_and_missing_ones_do(store: Store) -> None:
    likes: list[Like] = [(f"u{user:02d}", f"t{title}", 4.0) for user in range(40) for title in range(6)]
    likes += [(f"u{user:02d}", "low", 3.5) for user in range(40)]
    likes += [(f"unrated{user:02d}", f"t{title}", None) for user in range(10) for title in range(5)]
    likes += [("few", f"t{title}", 5.0) for title in range(4)]
    ingested(store, "mixed", likes)
    offline = of_dataset(store, "mixed")
    assert "low" not in offline.split.train.items
    assert len({user for user in everyone(offline) if user.startswith("unrated")}) == 10
    assert "few" not in everyone(offline)
    assert "low" in of_dataset(store, "mixed", Protocol(least_rating=3.0)).split.train.items


def test_titles_with_few_users_are_left_out_before_users_with_few_titles(store: Store) -> None:
    likes = [(f"u{user:02d}", f"t{title}", 5.0) for user in range(40) for title in range(6)]
    likes += [("rare", name, 5.0) for name in ("t0", "t1", "t2", "t3", "own")]
    ingested(store, "rare", likes)
    assert "rare" in everyone(of_dataset(store, "rare"))
    assert "rare" in everyone(of_dataset(store, "rare", Protocol(least_users=1)))
    filtered = of_dataset(store, "rare", Protocol(least_users=2))
    assert "rare" not in everyone(filtered)
    assert "titles with at least 2 users" in filtered.origin


def test_files_give_back_the_split_they_were_made_from(offline: OfflineSplit, tmp_path: Path) -> None:
    export(offline, tmp_path / "pro_sg")
    again = of_folder(tmp_path / "pro_sg")
    assert again.data_hash == offline.data_hash
    assert (again.dataset, again.folder) == ("pro_sg", tmp_path / "pro_sg")
    with pytest.raises(DataError, match=r"holds unique_sid\.txt already"):
        export(offline, tmp_path / "pro_sg")


@pytest.mark.parametrize("name", ["train.csv", "validation_tr.csv", "validation_te.csv", "test_tr.csv", "test_te.csv"])
def test_one_interaction_less_in_any_part_is_another_split(offline: OfflineSplit, tmp_path: Path, name: str) -> None:
    export(offline, tmp_path / "pro_sg")
    header, _, *rest = (tmp_path / "pro_sg" / name).read_text().splitlines(keepends=True)
    (tmp_path / "pro_sg" / name).write_text("".join([header, *rest]))
    assert of_folder(tmp_path / "pro_sg").data_hash != offline.data_hash


def test_a_folder_that_is_no_split_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unique_sid\.txt is not there; a split in this layout has"):
        of_folder(tmp_path)


def test_data_that_is_not_ingested_says_the_next_step(store: Store) -> None:
    with pytest.raises(DataError, match=r"data set 'ml-1m' is not ingested \(there: none\); run `abp ingest ml-1m`"):
        of_dataset(store, "ml-1m")


@pytest.mark.parametrize(
    "changed", [{"least_items": 13}, {"validation_users": 0}, {"test_users": 1}, {"test_users": 360}]
)
def test_too_few_users_say_how_many_there_are_and_are_needed(filled: Store, changed: dict[str, int]) -> None:
    with pytest.raises(DataError, match=r"small has (0|400) users under ratings from 4 .* at least 20 users are req"):
        of_dataset(filled, DATASET, replace(Protocol(), **changed))


def test_held_out_users_who_share_nothing_with_the_training_users_are_refused(store: Store) -> None:
    ingested(store, "islands", [(f"u{user:02d}", f"t{user}-{title}", 5.0) for user in range(30) for title in range(5)])
    with pytest.raises(DataError, match="no validation user of islands has five titles that a training user has too"):
        of_dataset(store, "islands")
