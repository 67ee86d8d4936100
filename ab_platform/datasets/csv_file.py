"""Any CSV with a header line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ab_platform.datasets.delimited import Layout, header, numbered_rows, parsed, read, without_header
from ab_platform.datasets.files import Block, Member, blocks, content_hash, decoded, members
from ab_platform.datasets.naming import ColumnNames, Found, find_columns, title_of, titles_in, with_columns
from ab_platform.datasets.source import BadRows, Batch, Tick, Unit
from ab_platform.datasets.values import RefusedError
from ab_platform.lineage import Title


@dataclass(frozen=True)
class CsvFile:
    """A CSV of interactions.

    Attributes:
        name: the data set's name.
        place: where it is.
        file: the file.
        columns: which of its columns hold what.
        layout: where they stand in a line.
    """

    name: str
    place: str
    file: Member
    columns: Found
    layout: Layout

    @property
    def unit(self) -> Unit:
        """Return bytes."""
        return "bytes"

    @property
    def size(self) -> int:
        """Return the bytes of the file."""
        return self.file.size

    def content_hash(self, tick: Tick) -> str:
        """Return the sha256 of the file and of the columns' names: another column is another data set."""
        return with_columns(content_hash((self.file,), tick), self.columns)

    def titles(self, bad: BadRows) -> Iterator[Title]:
        """Yield what the rows tell of titles beside their ids; `batches` is what meets bad rows."""
        for block in blocks(self.file, quoted=True) if self.columns.about_titles else ():
            rows = without_header(block) if block.line == 1 else block
            if rows.data:
                yield from self._titles_in(rows)

    def batches(self, bad: BadRows) -> Iterator[Batch]:
        """Yield the rows."""
        return read(self.file, self.layout, bad)

    def _titles_in(self, rows: Block) -> Iterator[Title]:
        present = self.layout.columns
        title = present.index(self.columns.title)
        about = [
            None if column is None else present.index(column)
            for column in (self.columns.title_name, self.columns.genres)
        ]
        try:
            yield from titles_in(*parsed(rows.data, self.layout, (title, *about)))
        except (RefusedError, pa.ArrowInvalid):
            for _, row in numbered_rows(rows, self.layout, self.file.name):
                if len(row) == len(present) and row[title]:
                    yield title_of(row[title], *(None if place is None else _legible(row[place]) for place in about))


def _legible(text: str) -> str:
    """Decode what was not UTF-8 in a row of names anew, since a name may be in another encoding than is said."""
    return decoded(text.encode(errors="surrogateescape"))


def open_csv(path: Path, wanted: ColumnNames) -> CsvFile:
    """Open a CSV and find its columns.

    Raises:
        DataError: no header line, or a column is missing.
    """
    (file,) = members(path)
    present, separator = header(file, example="user_id,title_id,timestamp")
    columns = find_columns(present, wanted, file=file.name)
    rating, at = (None if column is None else present.index(column) for column in (columns.rating, columns.at))
    user, title = present.index(columns.user), present.index(columns.title)
    layout = Layout(separator, present, user, title, rating, at, quoted=True, header=True)
    return CsvFile(path.stem, str(path), file, columns, layout)
