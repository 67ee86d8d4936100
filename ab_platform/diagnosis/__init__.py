"""Why a split is uneven: users in an arm that is not their hash's, or users of an arm whom the log lost, and where."""

from ab_platform.diagnosis.diagnose import diagnose
from ab_platform.diagnosis.found import Diagnosis, Dimension, Exposure, Loss, Moved, Place, Segment, Split, Verdict

__all__ = [
    "Diagnosis",
    "Dimension",
    "Exposure",
    "Loss",
    "Moved",
    "Place",
    "Segment",
    "Split",
    "Verdict",
    "diagnose",
]
