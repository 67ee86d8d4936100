"""What was trained: artifacts, trials and the trials of studies."""

from __future__ import annotations

from ab_platform.lineage import Artifact, StudyTrial, Trial
from ab_platform.storage import lineage
from ab_platform.storage.connection import reading, writing
from ab_platform.storage.keeping.kept import Kept


class Trained(Kept):
    """Artifacts and trials, each stored once."""

    def artifact(self, artifact_id: str) -> Artifact:
        """Return an artifact by its id.

        Raises:
            NotFoundError: with the nearest id.
        """
        with reading(self.engine) as connection:
            return lineage.artifact(connection, artifact_id)

    def artifact_of(self, recipe_hash: str) -> Artifact | None:
        """Return the newest artifact that was made from a recipe."""
        with reading(self.engine) as connection:
            return lineage.artifact_of(connection, recipe_hash)

    def artifacts(self) -> tuple[Artifact, ...]:
        """List the artifacts, the oldest first."""
        with reading(self.engine) as connection:
            return lineage.every_artifact(connection)

    def register(self, artifact: Artifact) -> None:
        """Store an artifact; the one of its id stays as it is."""
        with writing(self.engine) as connection:
            lineage.register(connection, artifact)

    def trials(self, recommender: str, data_hash: str, code_version: str) -> tuple[Trial, ...]:
        """List the trials of one recommender on one data set under one version of the code, the oldest first."""
        with reading(self.engine) as connection:
            return lineage.trials_of(connection, recommender, data_hash=data_hash, code_version=code_version)

    def record_trial(self, trial: Trial) -> None:
        """Store a trial; the one of the same recipe stays."""
        with writing(self.engine) as connection:
            lineage.record_trial(connection, trial)

    def study_trials(self, study: str) -> tuple[StudyTrial, ...]:
        """List the trials of a study by number, also those that are not complete."""
        with reading(self.engine) as connection:
            return lineage.trials_of_study(connection, study)

    def claim(self, trial: StudyTrial) -> bool:
        """Store a trial of a study under its number; return whether the number was free."""
        with writing(self.engine) as connection:
            return lineage.claim(connection, trial)

    def advance(self, trial: StudyTrial) -> None:
        """Store how far a trial of a study came, unless it has ended; a complete one becomes a trial of its recipe."""
        with writing(self.engine) as connection:
            lineage.advance(connection, trial)
