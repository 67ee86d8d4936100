"""What arms are compared on: users split for strong generalisation, from a data set or from files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ab_platform.errors import DataError
from ab_platform.storage.store import Store
from models.errors import ModelError
from models.interactions import Interactions, UserSplit
from models.split_files import read_split, write_split

_Result = TypeVar("_Result")

HELD_OUT_SHARE = 0.1
MOST_HELD_OUT = 10_000
LEAST_USERS = 20
"""Below these a tenth is one user, and one user has no spread."""


@dataclass(frozen=True)
class Protocol:
    """How a data set is split; the recipe of Liang et al. 2018 where nothing is said.

    The permutation has their seed but numpy's newer generator, so the users of each part are not theirs: to compare
    with their figures to the last digit, read the files of their split.

    Attributes:
        least_rating: ratings from here on count as liked; what is not rated always does.
        least_items: users with fewer titles are left out.
        least_users: titles with fewer users are left out before that; no title is by default.
        validation_users: how many choose epochs and settings; None is a tenth of all, at most 10,000.
        test_users: how many the arms are judged on; None likewise.
        seed: of the permutation of users, and of what is held out of each.
    """

    least_rating: float = 4.0
    least_items: int = 5
    least_users: int = 0
    validation_users: int | None = None
    test_users: int | None = None
    seed: int = 98765

    @property
    def words(self) -> str:
        """Say who and what is in."""
        titles = f", titles with at least {self.least_users:,} users" if self.least_users else ""
        return (
            f"ratings from {self.least_rating:g} (all where there are none){titles}, "
            f"users with at least {self.least_items} titles, permutation seed {self.seed}"
        )


THE_RECIPE = Protocol()


@dataclass(frozen=True, eq=False)
class OfflineSplit:
    """Users to train on, to choose by and to judge on.

    Attributes:
        dataset: name of the data set.
        split: the three parts; the training interactions carry no times.
        data_hash: content hash of all three.
        origin: how it came about, for people.
        folder: of its files; None where it is made from an ingested data set.
    """

    dataset: str
    split: UserSplit
    data_hash: str
    origin: str
    folder: Path | None = None

    @property
    def interactions(self) -> NDArray[np.int64]:
        """Return how many titles each test user has, shown and to be found, (users,)."""
        test = self.split.test
        return np.asarray(np.diff(test.fold_in.indptr) + np.diff(test.held_out.indptr), dtype=np.int64)


def of_dataset(store: Store, dataset: str, protocol: Protocol = THE_RECIPE) -> OfflineSplit:
    """Split an ingested data set; the same data and protocol always give the same split.

    Raises:
        DataError: the data set is not there, or leaves too few users.
    """
    liked = _liked(store, dataset, protocol)
    validation, test = _sizes(dataset, len(liked.users), protocol)
    split = _checked(lambda: liked.split_users(validation_users=validation, test_users=test, seed=protocol.seed))
    return _named(dataset, split, protocol.words)


def of_folder(folder: Path) -> OfflineSplit:
    """Read a split from files in the layout of `models.split_files`.

    Raises:
        DataError: a file is missing or not as the layout has it, with its line.
    """
    name = folder.resolve().name
    return replace(_named(name, _checked(lambda: read_split(folder)), f"the split in {folder}"), folder=folder)


def export(offline: OfflineSplit, folder: Path) -> None:
    """Write a split as files, for others to read.

    Raises:
        DataError: the folder holds a split already.
    """
    _checked(lambda: write_split(folder, offline.split))


def _liked(store: Store, dataset: str, protocol: Protocol) -> Interactions:
    if store.dataset(dataset) is None:
        known = ", ".join(each.dataset for each in store.datasets()) or "none"
        raise DataError(f"data set '{dataset}' is not ingested (there: {known}); run `abp ingest {dataset}`")
    columns = store.interactions(dataset, least_rating=protocol.least_rating)
    owners = np.bincount(columns.title_codes, minlength=len(columns.titles))
    kept = owners[columns.title_codes] >= protocol.least_users
    # Without times: nothing here reads them, and files of the same split have none.
    liked = Interactions.from_codes(
        columns.user_codes[kept], columns.title_codes[kept], None, users=columns.users, items=columns.titles
    )
    return liked.at_least(protocol.least_items)


def _sizes(dataset: str, users: int, protocol: Protocol) -> tuple[int, int]:
    """Return how many users validate and test."""
    tenth = min(round(users * HELD_OUT_SHARE), MOST_HELD_OUT)
    asked = (protocol.validation_users, protocol.test_users)
    validation, test = (tenth if size is None else size for size in asked)
    if users < LEAST_USERS or validation < 1 or test < 2 or validation + test >= users:
        raise DataError(
            f"{dataset} has {users:,} users under {protocol.words}, for {validation:,} validation and {test:,} test "
            f"users; at least {LEAST_USERS} users are required, of them 1 and 2 held out and one left for training: "
            "ingest more, lower --least-items or --least-rating, or hold out others"
        )
    return validation, test


def _named(dataset: str, split: UserSplit, origin: str) -> OfflineSplit:
    for part, users in (("validation", split.validation.users), ("test", split.test.users)):
        if not users:
            raise DataError(
                f"no {part} user of {dataset} has five titles that a training user has too, so there is nothing to "
                "find; ingest more, or raise --least-items"
            )
    parts = (split.train.content_hash(), split.validation.content_hash(), split.test.content_hash())
    return OfflineSplit(dataset, split, sha256(" ".join(parts).encode()).hexdigest(), origin)


def _checked(step: Callable[[], _Result]) -> _Result:
    """Pass on what the recommenders' package refuses as an error of the platform."""
    try:
        return step()
    except ModelError as error:
        raise DataError(str(error)) from error
