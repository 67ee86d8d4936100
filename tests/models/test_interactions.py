"""Interactions and their splits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.errors import ModelError
from models.interactions import HeldOut, Interactions, UserSplit
from tests.models.tastes import two_groups

ROWS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz"), st.integers(0, 50)), min_size=1, max_size=60
)
Row = tuple[str, str, int]


def built(rows: list[Row]) -> Interactions:
    return Interactions.from_rows(
        [row[0] for row in rows], [row[1] for row in rows], np.array([row[2] for row in rows], dtype=np.int64)
    )


def listed(interactions: Interactions) -> list[Row]:
    entries = interactions.matrix.tocoo()
    return [
        (interactions.users[row], interactions.items[column], int(time))
        for row, column, time in zip(entries.row, entries.col, interactions.times, strict=True)
    ]


def earliest(rows: list[Row]) -> dict[tuple[str, str], int]:
    return {pair: min(time for *other, time in rows if tuple(other) == pair) for pair in {row[:2] for row in rows}}


@given(ROWS)
def test_each_pair_is_there_once_at_its_earliest_time(rows: list[Row]) -> None:
    interactions = built(rows)
    assert {row[:2]: row[2] for row in listed(interactions)} == earliest(rows)
    assert interactions.matrix.nnz == len(earliest(rows))


@given(ROWS)
def test_vocabularies_and_rows_are_sorted_and_the_entries_are_ones(rows: list[Row]) -> None:
    interactions = built(rows)
    assert list(interactions.users) == sorted({row[0] for row in rows})
    assert list(interactions.items) == sorted({row[1] for row in rows})
    assert listed(interactions) == sorted(listed(interactions))
    assert interactions.matrix.dtype == np.float32
    assert (interactions.matrix.data == 1).all()


@given(ROWS, st.randoms(use_true_random=False))
def test_the_hash_does_not_depend_on_the_order_of_rows(rows: list[Row], random: object) -> None:
    shuffled = sorted(rows, key=lambda row: hash((row, repr(random))))
    assert built(shuffled + rows[:1]).content_hash() == built(rows).content_hash()


def test_the_hash_tells_users_items_pairs_and_times_apart() -> None:
    rows = [("a", "x", 1), ("a", "y", 2), ("b", "x", 3)]
    others = [
        [("A", "x", 1), ("A", "y", 2), ("b", "x", 3)],
        [("a", "x", 1), ("a", "Y", 2), ("b", "x", 3)],
        [("a", "x", 1), ("a", "y", 2), ("b", "y", 3)],
        [("a", "x", 1), ("a", "y", 2), ("b", "x", 4)],
    ]
    hashes = {built(each).content_hash() for each in [rows, *others]}
    assert len(hashes) == 5


@given(ROWS)
def test_codes_in_any_vocabulary_order_give_the_same_as_rows(rows: list[Row]) -> None:
    interactions = built(rows)
    users, items = interactions.users[::-1], interactions.items[::-1]
    same = Interactions.from_codes(
        np.array([users.index(row[0]) for row in rows], dtype=np.int8),
        np.array([items.index(row[1]) for row in rows], dtype=np.int16),
        np.array([row[2] for row in rows], dtype=np.int64),
        users,
        items,
    )
    assert same.content_hash() == interactions.content_hash()


def test_an_id_without_interactions_keeps_its_place() -> None:
    interactions = Interactions.from_codes(np.array([1]), np.array([0]), None, ["u", "v", "w"], ["x", "y"])
    assert interactions.matrix.toarray().tolist() == [[0, 0], [1, 0], [0, 0]]
    assert interactions.times.tolist() == [0]


def test_no_interactions_at_all_are_an_empty_matrix() -> None:
    assert Interactions.from_rows([], []).matrix.shape == (0, 0)


@pytest.mark.parametrize(
    ("codes", "users", "told"),
    [
        ([0, 3], ["u", "v"], "user codes run from 0 to 3; they must be positions in the vocabulary of 2"),
        ([-1, 0], ["u", "v"], "user codes run from -1 to 0"),
        ([0, 1], ["u", "u"], "the user id 'u' appears twice"),
        ([0, 1, 1], ["u", "v"], "the columns hold 3 users, 2 items and 2 times"),
    ],
)
def test_columns_that_do_not_fit_are_refused(codes: list[int], users: list[str], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        Interactions.from_codes(np.array(codes), np.array([0, 0]), np.array([1, 1]), users, ["x"])


def test_ids_that_are_not_strings_are_refused() -> None:
    with pytest.raises(ModelError, match="the user id 7 is a int; ids must be strings"):
        Interactions.from_rows(np.array([7, 7]), ["x", "y"])


@given(ROWS, st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.9]))
def test_each_users_last_part_is_held_back(rows: list[Row], fraction: float) -> None:
    interactions = built(rows)
    first, last = interactions.hold_back(fraction)
    assert sorted(listed(first) + listed(last)) == listed(interactions)
    assert first.users == last.users == interactions.users
    assert first.items == last.items == interactions.items
    for user in interactions.users:
        by_time = sorted((row for row in listed(interactions) if row[0] == user), key=lambda row: (row[2], row[1]))
        held = int(round(fraction * 10) * len(by_time) / 10)  # in tenths, so exact
        assert sorted(by_time[len(by_time) - held :]) == [row for row in listed(last) if row[0] == user]


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_fraction_outside_the_range_is_refused(fraction: float) -> None:
    with pytest.raises(ModelError, match=r"must be in \[0, 1\)"):
        two_groups().hold_back(fraction)


@given(ROWS, st.integers(0, 4))
def test_users_with_too_few_interactions_are_dropped(rows: list[Row], least: int) -> None:
    interactions = built(rows)
    counts = dict(zip(interactions.users, np.diff(interactions.matrix.indptr), strict=True))
    kept = interactions.at_least(least)
    assert listed(kept) == [row for row in listed(interactions) if counts[row[0]] >= least]
    assert kept.items == interactions.items


def split() -> UserSplit:
    return two_groups().split_users(validation_users=15, test_users=25, seed=7)


def test_a_split_by_user_shares_no_user() -> None:
    groups = [set(part.users) for part in (split().train, split().validation, split().test)]
    assert [len(group) for group in groups] == [80, 15, 25]
    assert set.union(*groups) == set(two_groups().users)


def test_a_held_out_user_keeps_four_fifths_as_history() -> None:
    whole, test = two_groups(), split().test
    assert np.diff(test.fold_in.indptr).tolist() == [8] * 25
    assert np.diff(test.held_out.indptr).tolist() == [2] * 25
    rows = [whole.users.index(user) for user in test.users]
    np.testing.assert_array_equal((test.fold_in + test.held_out).toarray(), whole.matrix[rows].toarray())


def test_which_titles_are_held_out_is_left_to_chance_and_not_to_time() -> None:
    held = np.asarray(split().test.held_out.sum(axis=0)).ravel()
    assert (held > 0).sum() > 16  # more titles than one user or one end of the vocabulary could give


def test_items_that_no_training_user_saw_are_left_out() -> None:
    rows = listed(two_groups()) + [(f"lonely{n}", f"title{n}-{m}", 0) for n in range(30) for m in range(6)]
    parts = built(rows).split_users(validation_users=30, test_users=30, seed=0)
    seen = {row[1] for row in listed(parts.train)}
    assert set(parts.train.items) == seen
    assert parts.test.fold_in.shape[1] == len(seen)
    assert not any(user.startswith("lonely") for user in (*parts.test.users, *parts.validation.users))


def test_the_same_seed_splits_alike_and_another_does_not() -> None:
    other = two_groups().split_users(validation_users=15, test_users=25, seed=8)
    assert split().test.content_hash() == split().test.content_hash() != other.test.content_hash()


def test_no_users_are_held_out_where_none_are_asked_for() -> None:
    parts = two_groups().split_users(validation_users=10, test_users=0, seed=0)
    assert (len(parts.validation.users), len(parts.test.users)) == (10, 0)


def test_a_split_that_leaves_nobody_to_train_on_is_refused() -> None:
    with pytest.raises(ModelError, match="60 validation and 60 test users are asked of 120; at least one"):
        two_groups().split_users(validation_users=60, test_users=60, seed=0)


def ones(*rows: list[int]) -> csr_matrix:
    array: NDArray[np.float32] = np.array(rows, dtype=np.float32)
    return csr_matrix(array)


def test_held_out_users_must_be_judgeable() -> None:
    with pytest.raises(ModelError, match="a user has no held-out item and cannot be judged"):
        HeldOut(ones([1, 0], [1, 0]), ones([0, 1], [0, 0]), ("u", "v"))
    with pytest.raises(ModelError, match="both matrices must be"):
        HeldOut(ones([1, 0]), ones([0, 1, 0]), ("u",))
