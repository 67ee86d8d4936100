"""The latent space of a fitted recommender: what masks do to it, what alignment does, and who can learn from whom.

T.-L. Vuong et al., "On the Mechanisms of Collaborative Learning in VAE Recommenders", ICLR 2026, arXiv 2511.06781; its
propositions, theorem and figure are what the modules here cite as "the source".
"""

from models.geometry.collapse import Anchors, active_dimensions, effective_rank
from models.geometry.drift import Curvature, Groups, contraction
from models.geometry.latent import Latent, latent_of
from models.geometry.measuring import Effort, Geometry, GroupDrift, PairGroup, measure
from models.geometry.projection import Cohort, Projection, cohorts, project
from models.geometry.sharing import wasserstein_bounds

__all__ = [
    "Anchors",
    "Cohort",
    "Curvature",
    "Effort",
    "Geometry",
    "GroupDrift",
    "Groups",
    "Latent",
    "PairGroup",
    "Projection",
    "active_dimensions",
    "cohorts",
    "contraction",
    "effective_rank",
    "latent_of",
    "measure",
    "project",
    "wasserstein_bounds",
]
