"""What was computed: the results of a day, those of all days or experiments, and documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from ab_platform.documents import Document, Kind
from ab_platform.results import Check, DecisionRow, Headline, LiftView, SampleRatioRow
from ab_platform.storage import documents, history, results, split_history
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.keeping.kept import Kept
from ab_platform.storage.results import Stored


class Computed(Kept):
    """Results, kept by experiment and day, and documents, kept by kind and name."""

    def write_readout(self, readout: Stored) -> None:
        """Store results in place of those of the same experiment and day."""
        with writing(self.engine) as connection:
            results.write(connection, readout)

    def readout(self, experiment: str, as_of: date | None = None) -> Stored | None:
        """Return the results as of a day, the newest by default; None where it was not analysed."""
        with reading(self.engine) as connection:
            return results.read(connection, experiment, as_of=as_of)

    def as_ofs(self, experiment: str) -> tuple[date, ...]:
        """List the days that were analysed, the oldest first."""
        with reading(self.engine) as connection:
            return results.as_ofs(connection, experiment)

    def split_history(self, experiment: str, scope: str = "all") -> tuple[SampleRatioRow, ...]:
        """Return the checks of the split of one scope in all analyses of an experiment, the oldest first."""
        with reading(self.engine) as connection:
            return split_history.of(connection, experiment, scope)

    def headlines(self) -> tuple[Headline, ...]:
        """Return the first primary row of each treatment, of every experiment and day; by experiment, arm and day."""
        with reading(self.engine) as connection:
            return history.headlines(connection)

    def newest_decisions(self) -> Mapping[str, tuple[DecisionRow, ...]]:
        """Return the decisions of each experiment's newest analysis, by its key."""
        with reading(self.engine) as connection:
            return history.newest_decisions(connection)

    def newest_sample_ratios(self) -> Mapping[str, tuple[SampleRatioRow, ...]]:
        """Return the checks of the split in each experiment's newest analysis, by its key."""
        with reading(self.engine) as connection:
            return history.newest_sample_ratios(connection)

    def newest_checks(self) -> Mapping[str, tuple[Check, ...]]:
        """Return the checks of the data in each experiment's newest analysis, by its key."""
        with reading(self.engine) as connection:
            return history.newest_checks(connection)

    def lift_history(self, experiment: str) -> tuple[LiftView, ...]:
        """Return the views against the control of every day that was analysed, the oldest first."""
        with reading(self.engine) as connection:
            return history.lift_history(connection, experiment)

    def write_document(self, document: Document) -> bool:
        """Store what a command found in place of what has its kind and name; return whether that differed."""
        with writing(self.engine) as connection:
            return documents.write(connection, document)

    def document(self, kind: Kind, name: str) -> Document | None:
        """Return a document by its kind and name; None where there is none."""
        with reading(self.engine) as connection:
            return documents.find(connection, kind, name)

    def documents(self, kind: Kind) -> Mapping[str, datetime]:
        """Return when each document of a kind was written, by its name, the newest first."""
        with reading(self.engine) as connection:
            return documents.written(connection, kind)
