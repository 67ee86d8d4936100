"""What a search tries next, and which trial it gives up, by the trials so far.

Optuna keeps nothing: its study is built anew from the stored trials whenever it is asked. So the next settings depend
on these, on the seed and on the number of the trial alone, and a search goes on after a kill as if there had been none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from ab_platform.lineage import StudyTrial
from ab_platform.tuning.study import Range, Study

RANDOM_TRIALS = 5
"""Tried at random before the sampler learns; Optuna's default is 10, half of a usual search. With 20 trials of smooth
functions of 2, 4 and 6 settings, over 60 seeds, 5 came as near to the best point as 3, 7 and 10 did, or nearer."""

COMPLETE_TRIALS = 5
"""That must be there before one is given up: the default of Optuna's MedianPruner."""

WARM_UP_EPOCHS = 10
"""In which none is given up: the curves of different learning rates and annealings cross early."""

TRIALS_TO_WEIGH, BEST_SHARE = 10, 0.25
"""Complete trials that importances need, and the share of them that counts as good."""

_STATES = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def suggest(study: Study, known: Sequence[StudyTrial], number: int) -> dict[str, float]:
    """Return what a trial takes for the settings that are looked for: first the defaults, then what TPE samples.

    J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011; Optuna samples all jointly.
    Trials under way count as poor ones, so that searches side by side look in different places.

    Args:
        study: what is looked for.
        known: the trials before, by number.
        number: of the trial, from 1.
    """
    if number == 1:
        return dict(study.first)
    seed = int(np.random.SeedSequence([study.seed, number]).generate_state(1)[0])
    built = _built(study, known, TPESampler(n_startup_trials=RANDOM_TRIALS, seed=seed))
    asked = built.ask(_distributions(study)).params
    return {name: each.rounded(asked[name]) for name, each in study.ranges.items()}


def hopeless(known: Sequence[StudyTrial], curve: Mapping[int, float]) -> bool:
    """Tell whether a trial's best epoch so far is worse than that of half of the complete trials at the same epoch.

    The median rule of D. Golovin et al., "Google Vizier", KDD 2017, section 3.2.1, and of Optuna's MedianPruner; but a
    complete trial is met with its best up to the epoch, so that it also counts after it has stopped. Hyperband is not
    for this: Optuna asks of it more than ten trials a bracket, and a search has about 20 in all.

    Args:
        known: the other trials.
        curve: NDCG@100 of the trial by epoch.
    """
    epoch = max(curve, default=0)
    others = [trial.curve for trial in known if trial.state == "complete" and trial.curve]
    if epoch <= WARM_UP_EPOCHS or len(others) < COMPLETE_TRIALS:
        return False
    reached = [max(ndcg for at, ndcg in other.items() if at <= epoch) for other in others]
    return max(curve.values()) < median(reached)


def importances(study: Study, known: Sequence[StudyTrial]) -> dict[str, float]:
    """Return how much each setting matters for a good trial, in shares of 1, the greatest first; none of few trials.

    S. Watanabe et al., "PED-ANOVA", IJCAI 2023, over the complete trials; a few tens of them give a hint, not more.
    """
    complete = [trial for trial in known if trial.state == "complete"]
    if len(complete) < TRIALS_TO_WEIGH or len(study.ranges) < 2:
        return {}
    evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
    return get_param_importances(_built(study, complete, None), evaluator=evaluator)


def _built(study: Study, known: Sequence[StudyTrial], sampler: TPESampler | None) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # or each study is announced
    built = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = _distributions(study)
    built.add_trials([_frozen(study, trial, distributions) for trial in known])
    return built


def _frozen(study: Study, trial: StudyTrial, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    return create_trial(
        state=_STATES[trial.state],
        value=trial.validation_ndcg,
        params=study.settings(trial),
        distributions=distributions,
        intermediate_values=dict(trial.curve),
    )


def _distributions(study: Study) -> dict[str, BaseDistribution]:
    return {name: _distribution(each) for name, each in study.ranges.items()}


def _distribution(searched: Range) -> BaseDistribution:
    if searched.whole:
        return IntDistribution(int(searched.low), int(searched.high), log=searched.log)
    return FloatDistribution(searched.low, searched.high, log=searched.log)
