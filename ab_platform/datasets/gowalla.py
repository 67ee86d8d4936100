"""Gowalla check-ins as the NGCF and LightGCN papers split them: a line a user, the user first and then the items.

Xiang Wang, Xiangnan He, Meng Wang, Fuli Feng and Tat-Seng Chua, "Neural Graph Collaborative Filtering", SIGIR 2019;
from Eunjoon Cho, Seth A. Myers and Jure Leskovec, "Friendship and Mobility", KDD 2011. Both files are read, one after
the other: who is judged on what is for the reader of the data set to say. There are no titles, ratings or times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ab_platform.datasets.files import Block, Member, blocks, content_hash, first_line
from ab_platform.datasets.source import BadRows, Batch, Tick, Unit
from ab_platform.errors import DataError
from ab_platform.lineage import Title

_TRAIN, _TEST = "train.txt", "test.txt"
_USER_AND_ITEMS = re.compile(r"\d+( +\d+)* *", re.ASCII)


@dataclass(frozen=True)
class Gowalla:
    """Users and their items, in two files.

    Attributes:
        name: the data set's name.
        place: where it comes from.
        train: `train.txt`.
        test: `test.txt`.
    """

    name: str
    place: str
    train: Member
    test: Member

    @property
    def unit(self) -> Unit:
        """Return bytes."""
        return "bytes"

    @property
    def size(self) -> int:
        """Return the bytes of both files."""
        return self.train.size + self.test.size

    def content_hash(self, tick: Tick) -> str:
        """Return the sha256 of both files."""
        return content_hash((self.train, self.test), tick)

    def titles(self, bad: BadRows) -> Iterator[Title]:
        """Yield none: the items are numbers."""
        return iter(())

    def batches(self, bad: BadRows) -> Iterator[Batch]:
        """Yield the items of each user, those of `train.txt` first."""
        done = 0
        for file in (self.train, self.test):
            for block in blocks(file):
                done += len(block.data)
                yield _batch(block, bad, place=file.name, done=done)


def find(files: Sequence[Member], *, name: str, place: str) -> Gowalla | None:
    """Recognise the split by its two files side by side.

    Raises:
        DataError: there is such a `train.txt` and no `test.txt` beside it.
    """
    train = next((file for file in files if file.name == _TRAIN and _USER_AND_ITEMS.fullmatch(first_line(file))), None)
    if train is None:
        return None
    test = next((file for file in files if file.name == _TEST and file.folder == train.folder), None)
    if test is None:
        raise DataError(f"{place} holds {_TRAIN} and no {_TEST}; put both files in one folder")
    return Gowalla(name, place, train, test)


def _batch(block: Block, bad: BadRows, *, place: str, done: int) -> Batch:
    users: list[str] = []
    items: list[str] = []
    for line, row in enumerate(block.data.decode(errors="replace").split("\n"), start=block.line):
        text = row.rstrip("\r")
        if _USER_AND_ITEMS.fullmatch(text):
            user, *own = text.split()
            users += [user] * len(own)
            items += own
        elif text.strip():
            bad.meet(f"{place}:{line}", f"the row is {_shortened(text)!r}; it must be numbers: a user, then items")
    return Batch(user_ids=users, title_ids=items, ratings=None, at=None, done=done)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"
