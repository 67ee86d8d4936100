"""Users split for strong generalisation as files, in the layout that D. Liang published (github.com/dawenl/vae_cf).

    folder/
        unique_sid.txt                       the item ids, one a line; an item's sid is its line, counted from 0
        unique_uid.txt                       the user ids likewise; where it is missing, a user's id is the uid
        train.csv                            what each training user interacted with
        validation_tr.csv, test_tr.csv       what is shown of each validation and test user
        validation_te.csv, test_te.csv       what is to be found of each

Each CSV has the header `uid,sid` and a pair of whole numbers a line, in any order. As published, uids go on from the
training users to the validation users to the test users; here it is enough that no user is in two parts. The layout has
no times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models import durable
from models.errors import ModelError
from models.interactions import HeldOut, Interactions, UserSplit, row_numbers

ITEMS, USERS, TRAIN = "unique_sid.txt", "unique_uid.txt", "train.csv"
VALIDATION, TEST = ("validation_tr.csv", "validation_te.csv"), ("test_tr.csv", "test_te.csv")
HEADER = "uid,sid"

_MOST = 2**63 - 1  # what a number may be where no file lists the ids


def read_split(folder: Path) -> UserSplit:
    """Read a split; held-out users come in the order of their uid.

    Raises:
        ModelError: a file is missing, empty or holds something else, a sid or uid is out of range, a held-out user has
            a history and nothing to find or the reverse, or a user is in several parts.
    """
    catalogue = _Catalogue(_ids(folder / ITEMS), _ids(folder / USERS) if (folder / USERS).exists() else None)
    train = _pairs(folder / TRAIN, catalogue)
    users, rows = np.unique(train.users, return_inverse=True)
    split = UserSplit(
        train=Interactions.from_codes(rows, train.items, None, catalogue.names(users), catalogue.items),
        validation=_held_out(folder, VALIDATION, catalogue),
        test=_held_out(folder, TEST, catalogue),
    )
    _check_disjoint(split, folder)
    return split


def write_split(folder: Path, split: UserSplit) -> None:
    """Write a split; read again it is the same but for the times of its training interactions.

    Raises:
        ModelError: the folder holds a split already.
    """
    standing = next((name for name in (ITEMS, USERS, TRAIN, *VALIDATION, *TEST) if (folder / name).exists()), None)
    if standing is not None:
        raise ModelError(f"{folder} holds {standing} already; give a new folder, or remove what is there")
    _write_lines(folder / ITEMS, split.train.items)
    _write_lines(folder / USERS, [*split.train.users, *split.validation.users, *split.test.users])
    _write_pairs(folder / TRAIN, split.train.matrix, first=0)
    first = len(split.train.users)
    for (shown, to_find), part in ((VALIDATION, split.validation), (TEST, split.test)):
        _write_pairs(folder / shown, part.fold_in, first=first)
        _write_pairs(folder / to_find, part.held_out, first=first)
        first += len(part.users)


@dataclass(frozen=True)
class _Catalogue:
    """The ids of the items and, where they are given, of the users, by their numbers."""

    items: tuple[str, ...]
    users: tuple[str, ...] | None

    @property
    def ends(self) -> tuple[int, int]:
        """Return what a uid and a sid must be below."""
        return _MOST if self.users is None else len(self.users), len(self.items)

    def names(self, numbers: NDArray[np.int64]) -> tuple[str, ...]:
        """Return the ids of users by their uids."""
        return tuple(str(number) if self.users is None else self.users[number] for number in numbers.tolist())

    def columns(self) -> NDArray[np.int64]:
        """Return the place of each sid among the items in sorted order, as `Interactions` has them."""
        places = np.empty(len(self.items), dtype=np.int64)
        places[sorted(range(len(self.items)), key=self.items.__getitem__)] = np.arange(len(self.items))
        return places


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The uid and the sid of each line, (lines,) each."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]


def _ids(path: Path) -> tuple[str, ...]:
    ids = tuple(line.strip() for line in _there(path).read_text(encoding="utf-8").splitlines())
    if not ids or "" in ids:
        raise ModelError(f"{path}:{ids.index('') + 1 if ids else 1}: the line is empty; it must hold an id")
    return ids


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(
            f"{path} is not there; a split in this layout has {', '.join((ITEMS, TRAIN, *VALIDATION, *TEST))}"
        )
    return path


def _pairs(path: Path, catalogue: _Catalogue) -> _Pairs:
    _check_head(path)
    try:
        numbers = np.loadtxt(path, dtype=np.int64, delimiter=",", skiprows=1, comments=None, ndmin=2, encoding="utf-8")
    except ValueError as error:
        raise ModelError(_problem(path, catalogue)) from error
    if numbers.shape[1] != 2 or (numbers < 0).any() or (numbers >= catalogue.ends).any():
        raise ModelError(_problem(path, catalogue))
    return _Pairs(numbers[:, 0], numbers[:, 1])


def _check_head(path: Path) -> None:
    with _there(path).open(encoding="utf-8") as lines:
        header = lines.readline().strip()
        if header != HEADER:
            raise ModelError(f"{path}:1: the header is {header!r}; it must be {HEADER!r}")
        if not any(map(str.strip, lines)):
            raise ModelError(f"{path} holds no pair; each part of a split needs at least one user")


def _problem(path: Path, catalogue: _Catalogue) -> str:
    """Find the first line that cannot be taken, and say why."""
    with path.open(encoding="utf-8") as lines:
        next(lines)
        for line, text in enumerate(map(str.strip, lines), start=2):
            user, comma, item = (field.strip() for field in text.partition(","))
            if text and not (comma and all(map(_is_number, (user, item)))):
                return f"{path}:{line}: the line is {text!r}; it must be two whole numbers from 0, such as '12,345'"
            for name, number, end in zip(HEADER.split(","), (user, item), catalogue.ends, strict=True):
                if text and int(number) >= end:
                    return f"{path}:{line}: the {name} is {number}; it must be below {end}, {_REASONS[name]}"
    return f"{path} changed while it was read; read it again"


_REASONS = {"uid": f"the lines of {USERS} where there is one", "sid": f"the lines of {ITEMS}"}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _held_out(folder: Path, names: tuple[str, str], catalogue: _Catalogue) -> HeldOut:
    parts = [_pairs(folder / name, catalogue) for name in names]
    users = np.union1d(parts[0].users, parts[1].users)
    _check_whole(np.setdiff1d(users, parts[0].users), folder, lacking=names[0], there=names[1])
    _check_whole(np.setdiff1d(users, parts[1].users), folder, lacking=names[1], there=names[0])
    columns, shape = catalogue.columns(), (len(users), len(catalogue.items))
    shown, to_find = (_ones(np.searchsorted(users, part.users), columns[part.items], shape) for part in parts)
    both = shown.multiply(to_find).tocsr()
    if both.nnz:
        user = users[row_numbers(both)[0]]
        raise ModelError(f"{folder}: uid {user} has an item in {' and in '.join(names)}; leave it in one of them")
    return HeldOut(shown, to_find, catalogue.names(users))


def _check_whole(alone: NDArray[np.int64], folder: Path, *, lacking: str, there: str) -> None:
    if len(alone):
        raise ModelError(
            f"{folder}: uid {alone[0]} is in {there} and not in {lacking} ({len(alone)} such); a held-out user must "
            "have items in both, so take such users out"
        )


def _ones(rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]) -> csr_matrix:
    matrix = csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _check_disjoint(split: UserSplit, folder: Path) -> None:
    seen: dict[str, str] = {}
    parts = {TRAIN: split.train.users, VALIDATION[0]: split.validation.users, TEST[0]: split.test.users}
    for name, users in parts.items():
        for user in users:
            if user in seen:
                raise ModelError(
                    f"{folder}: user {user} is in {seen[user]} and in {name}; who is judged must be in that part alone"
                )
            seen[user] = name


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    wrong = next((line for line in lines if line.splitlines() != [line] or line != line.strip()), None)
    if wrong is not None:
        raise ModelError(f"the id {wrong!r} does not fit on a line of {path.name}; ids must be words without line ends")
    durable.write(path, "".join(f"{line}\n" for line in lines).encode())


def _write_pairs(path: Path, matrix: csr_matrix, *, first: int) -> None:
    """Write a part whose first user has that uid."""
    rows, columns = (row_numbers(matrix) + first).tolist(), matrix.indices.tolist()
    pairs = "".join(f"{row},{column}\n" for row, column in zip(rows, columns, strict=True))
    durable.write(path, f"{HEADER}\n{pairs}".encode())
