"""The benchmark beside published figures: what its epoch is chosen on is not trained on."""

import numpy as np
import pytest

from benchmarks import gowalla


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
