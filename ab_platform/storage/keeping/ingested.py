"""What was ingested: data sets, their titles and interactions, and the attributes of their users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from ab_platform.errors import StoreError
from ab_platform.lineage import Dataset, Title
from ab_platform.storage import attributes, datasets
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.datasets import DatasetWriter, InteractionColumns
from ab_platform.storage.keeping.kept import Kept


class Ingested(Kept):
    """Data sets, written whole, and attributes of users."""

    def dataset(self, name: str) -> Dataset | None:
        """Return a data set by its name."""
        with reading(self.engine) as connection:
            return datasets.find(connection, name)

    def datasets(self) -> tuple[Dataset, ...]:
        """List the data sets by name."""
        with reading(self.engine) as connection:
            return datasets.every(connection)

    @contextmanager
    def ingesting(self, name: str, content_hash: str, source: str, at: datetime) -> Iterator[DatasetWriter]:
        """Write one data set in one transaction; without `finish`, or after an error or a kill, nothing of it stays.

        Args:
            name: of the data set.
            content_hash: of its source.
            source: where it comes from, for people.
            at: now.

        Raises:
            StoreError: for a name that is there already, or a writer that was not finished.
        """
        with writing(self.engine) as connection:
            writer = DatasetWriter(connection, Dataset(name, content_hash, source, 0, 0, 0, 0, 0, at))
            yield writer
            if writer.finished is None:
                raise StoreError(f"the ingest of '{name}' ended without finish(); nothing was stored: ingest it again")

    def interactions(self, dataset: str, *, least_rating: float) -> InteractionColumns:
        """Return the interactions of a data set that are rated at least so, or not rated."""
        with reading(self.engine) as connection:
            return datasets.interactions_of(connection, dataset, least_rating=least_rating)

    def titles(self, dataset: str) -> dict[str, Title]:
        """Return the titles of a data set by their id."""
        with reading(self.engine) as connection:
            return datasets.titles_of(connection, dataset)

    def write_attributes(self, dataset: str, name: str, values: Iterable[tuple[str, str]]) -> int:
        """Store one attribute of users, such as their device, in place of what it was; return how many it is of."""
        with writing(self.engine) as connection:
            return attributes.write(connection, dataset, name, values=values)

    def count_interactions(self, dataset: str, *, least_rating: float) -> int:
        """Store as the attribute `interactions` how many of them each user of a data set has."""
        with writing(self.engine) as connection:
            return attributes.count_interactions(connection, dataset, least_rating=least_rating)
