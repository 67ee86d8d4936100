"""The use case: a file of users into user attributes, such as device, country or age."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ab_platform.datasets.source import IngestProgress, Unit
from ab_platform.datasets.users_table import UsersTable, read_users
from ab_platform.errors import DataError, NotFoundError, nearest
from ab_platform.pseudonym import OWN_IDS, Pseudonyms

if TYPE_CHECKING:
    from ab_platform.storage.store import Store

RESERVED = {
    "arm": "is what attributes must not depend on",
    "before": "is a covariate of its own",
    "cohort": "is the day of the exposure",
    "day": "is the day of the exposure",
    "interactions": "is counted from the data set",
    "prediction": "is a covariate of its own",
    "surface": "is where users are exposed",
}
"""Names that mean something else wherever attributes are named."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_A_CODE = re.compile(r"[+-]?0\d")
"""A zero before other digits, as in a postal code, carries meaning."""

_WHOLE_BELOW = 1e15
_WRITTEN_AT_ONCE = 20_000

Report = Callable[[IngestProgress], None]


@dataclass(frozen=True)
class Attribute:
    """What came in of one attribute.

    Attributes:
        name: the column's.
        users: of how many users a value is known.
        values: distinct ones.
        numeric: whether each is a number, so that it may be a covariate.
        without: users of whom the file tells nothing.
    """

    name: str
    users: int
    values: int
    numeric: bool
    without: int


@dataclass(frozen=True)
class Loaded:
    """What came of a file.

    Attributes:
        dataset: whose users they are.
        users: rows of the file.
        attributes: one a column.
    """

    dataset: str
    users: int
    attributes: tuple[Attribute, ...]


def load_attributes(
    store: Store,
    path: Path,
    *,
    dataset: str,
    user: str = "user_id",
    only: Sequence[str] | None = None,
    pseudonyms: Pseudonyms = OWN_IDS,
    progress: Report | None = None,
) -> Loaded:
    """Store each column of a file as an attribute of the data set's users, in place of what it was of them.

    Values are text. In a column of numbers each is written in one way, so that 3 and 3.0 are the same value; a value
    that is empty or NaN is left out. Each attribute is one transaction, and a second run changes nothing.

    Args:
        store: where to.
        path: a CSV or Parquet file with a row for each user.
        dataset: whose users they are.
        user: column that names the user.
        only: columns to take; all others where None.
        pseudonyms: how users are known; the file has their own ids.
        progress: told how far it is.

    Raises:
        NotFoundError: for a data set that is not ingested.
        DataError: for a file, column or row that cannot be taken, a user who stands there twice, or a data set whose
            users are known otherwise.
    """
    tell = progress or _tell_nobody
    standing = store.dataset(dataset)
    if standing is None:
        known = nearest(dataset, (each.dataset for each in store.datasets()))
        raise NotFoundError(f"data set '{dataset}' is not ingested; {known}")
    pseudonyms.require(standing.content_hash, dataset)
    found = read_users(
        path,
        user=user,
        only=only,
        on_read=lambda done, total, unit: tell(IngestProgress("reading", done, total, unit)),
    )
    _require_names(found)
    users = np.array(pseudonyms.of_all(found.users.to_pylist()), dtype=object)
    columns = {name: _Values.of(found, name) for name in found.columns}
    for place, (name, column) in enumerate(columns.items()):
        store.write_attributes(dataset, name, _pairs(users, column, _Writing(tell, name, place, len(columns))))
    return Loaded(dataset, len(users), tuple(column.told(name) for name, column in columns.items()))


def _require_names(found: UsersTable) -> None:
    for name in found.columns:
        if name in RESERVED:
            raise DataError(
                f"{found.file}: column '{name}' cannot be an attribute: the name {RESERVED[name]}; rename the column, "
                "or choose others with --only"
            )
        if not name or "\0" in name:
            raise DataError(f"{found.file}: a column is called {name!r}; name it, such as 'device'")


@dataclass(frozen=True, eq=False)
class _Values:
    """A column as codes into its distinct values; -1 where nothing is known."""

    distinct: list[str]
    codes: NDArray[np.int64]
    numeric: bool

    @staticmethod
    def of(found: UsersTable, name: str) -> _Values:
        """Write each distinct value in one way, and find which rows have it."""
        encoded = found.columns[name].dictionary_encode()
        raw = [text.strip() for text in encoded.dictionary.to_pylist()]
        if any("\0" in text for text in raw):
            raise DataError(f"{found.file}: column '{name}' has a value with a zero byte; mend the row")
        known = [text for text in raw if text and text.lower() != "nan"]
        numeric = bool(known) and all(_is_number(text) for text in known)
        written = {text: canonical_number(text) if numeric else text for text in known}
        places = {text: place for place, text in enumerate(dict.fromkeys(written.values()))}
        renamed = np.array([places[written[text]] if text in written else -1 for text in raw] + [-1], dtype=np.int64)
        indices: Any = encoded.indices.fill_null(len(raw))
        return _Values(list(places), renamed[indices.to_numpy()], numeric)

    def told(self, name: str) -> Attribute:
        """Say what came in."""
        users = int(np.count_nonzero(self.codes >= 0))
        return Attribute(name, users, len(self.distinct), self.numeric, len(self.codes) - users)


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text)) and not _A_CODE.match(text) and math.isfinite(float(text))


def canonical_number(text: str) -> str:
    """Write a number in its shortest form: `3.0`, `3e0` and `+3` are `3`; digits of a whole number all stay."""
    number = float(text)
    if text.lstrip("+-").isdigit():
        return str(int(text))
    return str(int(number)) if number.is_integer() and abs(number) < _WHOLE_BELOW else repr(number)


@dataclass(frozen=True)
class _Writing:
    """Tells how far the writing of one of several attributes is."""

    tell: Report
    name: str
    place: int
    attributes: int

    def at(self, done: int, users: int) -> None:
        unit: Unit = "rows"
        total = users * self.attributes
        self.tell(IngestProgress(f"writing {self.name}", self.place * users + done, total, unit))


def _pairs(users: NDArray[np.object_], column: _Values, writing: _Writing) -> Iterator[tuple[str, str]]:
    """Give (user, value) of those of whom it is known."""
    for start in range(0, len(users), _WRITTEN_AT_ONCE):
        among = slice(start, start + _WRITTEN_AT_ONCE)
        for user, code in zip(users[among].tolist(), column.codes[among].tolist(), strict=True):
            if code >= 0:
                yield user, column.distinct[code]
        writing.at(min(start + _WRITTEN_AT_ONCE, len(users)), len(users))


def _tell_nobody(progress: IngestProgress) -> None:
    pass
