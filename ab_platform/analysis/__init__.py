"""user_days -> sums per arm -> lifts, checks of the split, segments and the decision, stored by as_of."""

from ab_platform.analysis.daily import analyze_days
from ab_platform.analysis.readout import analyze, readout
from ab_platform.analysis.several import Several, analyze_all
from ab_platform.analysis.truth import truths

__all__ = ["Several", "analyze", "analyze_all", "analyze_days", "readout", "truths"]
