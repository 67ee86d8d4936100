"""A source whose users are known by pseudonyms: where the ids of an ingest are hashed, for every layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ab_platform.datasets.source import BadRows, Batch, Source, Tick, Unit
from ab_platform.lineage import Title
from ab_platform.pseudonym import Pseudonyms


@dataclass(frozen=True)
class Pseudonymous:
    """Another source, but for the ids of its users; its content hash tells the key too.

    Attributes:
        source: what is read.
        pseudonyms: how its users are known.
    """

    source: Source
    pseudonyms: Pseudonyms

    @property
    def name(self) -> str:
        """Return the data set's name where the caller gives none."""
        return self.source.name

    @property
    def place(self) -> str:
        """Return where it comes from, for people."""
        return self.source.place

    @property
    def unit(self) -> Unit:
        """Return what `size` counts."""
        return self.source.unit

    @property
    def size(self) -> int:
        """Return how much there is to read."""
        return self.source.size

    def content_hash(self, tick: Tick) -> str:
        """Return the content hash of the source, marked with the key."""
        return self.pseudonyms.marked(self.source.content_hash(tick))

    def titles(self, bad: BadRows) -> Iterator[Title]:
        """Yield what can be watched, as it is."""
        return self.source.titles(bad)

    def batches(self, bad: BadRows) -> Iterator[Batch]:
        """Yield the interactions, their users by pseudonym."""
        for batch in self.source.batches(bad):
            yield replace(batch, user_ids=self.pseudonyms.of_all(batch.user_ids))
