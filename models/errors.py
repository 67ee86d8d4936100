"""The errors of the recommenders.

ValueError
└── ModelError          a recommender, its data or its options are not as required
    └── ArtifactError   a stored recommender is missing, damaged or not what its name says
"""


class ModelError(ValueError):
    """A recommender, its data or its options are not as required."""


class ArtifactError(ModelError):
    """A stored recommender is missing, damaged or not what its name says."""
