"""`abp tune`: a search for an arm's settings, or a grid of them, on validation users."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ab_platform.cli.arms import (
    Dataset,
    HoldBack,
    LeastRating,
    Recommender,
    Set,
    parse_setting,
    parse_value,
    training_bar,
)
from ab_platform.cli.console import AsJson, Device, bar, choice, now, print_json, print_table, say, store, workshop
from ab_platform.errors import ExperimentError
from ab_platform.experiment import Arm, ConfigValue, DataRule

if TYPE_CHECKING:
    from ab_platform.lineage import Recipe, StudyTrial, Trial
    from ab_platform.storage.store import Store
    from ab_platform.tuning.measuring import Bench, Material
    from ab_platform.tuning.searching import Plan
    from models.config import Search
    from models.recommender import EpochReport

PROTOCOLS = ("experiment", "offline")
LEAST_RATING, HOLD_BACK = 4.0, 0.3


@dataclass(frozen=True)
class Source:
    """Which users an arm is tuned on, as it was asked for.

    Attributes:
        dataset: name of the data set.
        protocol: `experiment` or `offline`.
        least_rating: ratings from here on count as liked.
        hold_back: share of each user's interactions that an experiment keeps from training.
        files: folder of an offline split, in place of a data set.
    """

    dataset: str
    protocol: str
    least_rating: float
    hold_back: float
    files: Path | None

    @property
    def offline(self) -> bool:
        """Whether the users are those of an offline comparison."""
        return self.protocol == "offline" or self.files is not None


@dataclass(frozen=True)
class Tuned:
    """What a search came to, for machines.

    Attributes:
        study: its key.
        trials: all of the study, the best first.
        best: settings of the best complete trial that differ from the defaults; None while none is complete.
        importances: how much each setting matters, in shares of 1; empty for few trials.
    """

    study: str
    trials: Sequence[StudyTrial]
    best: Mapping[str, object] | None
    importances: Mapping[str, float]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(tune)


def tune(
    recommender: Recommender,
    dataset: Dataset = "ml-1m",
    trials: Annotated[int, typer.Option(min=1, help="How many settings to try in all, earlier ones included.")] = 20,
    epochs: Annotated[int | None, typer.Option(min=1, help="The most epochs a trial; the arm's own else.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so long, to go on another time.")] = None,
    settings: Set = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--search", metavar="SETTING=LOW..HIGH[:log]", help="Where to look, besides its own ranges; repeat."
        ),
    ] = None,
    tries: Annotated[
        list[str] | None,
        typer.Option("--try", help="setting=value,value,...; several make a grid; in place of a search."),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(help="Whose users: experiment, as `abp train` has them, or offline, as `abp evaluate` does."),
    ] = "experiment",
    files: Annotated[Path | None, typer.Option("--from", help="Folder of split files, instead of a data set.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every training, and of what is tried.")] = 0,
    least_rating: LeastRating = LEAST_RATING,
    hold_back: HoldBack = HOLD_BACK,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Look for an arm's best settings on validation users; what was tried before is not tried again.

    The first trial has the defaults, the next ones are drawn at random, later ones where earlier ones were good (TPE);
    a trial that is worse than half of the others at the same epoch is given up. Interrupted, the same command goes on.

    Example: abp tune pia --trials 20 --epochs 60 --set batch=100

    Example: abp tune pia --search alignment=0.01..10:log --search latent=50..300

    Example: abp tune pia --try alignment=0.03,0.1,0.3,1
    """
    from ab_platform.tuning.measuring import Bench
    from ab_platform.tuning.searching import Budget, Plan
    from ab_platform.tuning.study import capped, study_of

    if tries and (ranges or minutes is not None):
        raise ExperimentError("--try tries all its values; --search and --minutes are for a search: leave one out")
    source = Source(dataset, choice(protocol, PROTOCOLS, "--protocol"), least_rating, hold_back, files)
    arm = capped(Arm(recommender, recommender, 1.0, seed=seed, config=dict(map(parse_setting, settings or []))), epochs)
    opened = store()
    bench = Bench(opened, workshop(device), _material(opened, source), now)
    if tries:
        options = dict(map(parse_values, tries))
        return _print_grid(_tried(bench, arm, options), list(options), source, as_json=as_json)
    budget = Budget(trials, None if minutes is None else now() + timedelta(minutes=minutes))
    plan = Plan(bench, study_of(bench.material, arm, dict(map(parse_range, ranges or []))), budget)
    _search(plan)
    return _print_search(plan, source, as_json=as_json)


def _material(opened: Store, source: Source) -> Material:
    from ab_platform.offline.protocol import Protocol, of_dataset, of_folder
    from ab_platform.training import snapshot
    from ab_platform.tuning.measuring import Material, material_of

    if not source.offline:
        rule = DataRule(source.dataset, least_rating=source.least_rating, hold_back=source.hold_back)
        return material_of(snapshot(opened, rule))
    protocol = Protocol(least_rating=source.least_rating)
    found = of_dataset(opened, source.dataset, protocol) if source.files is None else of_folder(source.files)
    return Material(found.dataset, found.data_hash, found.split)


def _tried(bench: Bench, arm: Arm, options: Mapping[str, Sequence[ConfigValue]]) -> list[Trial]:
    """Try a grid, a bar a trial; the best comes first."""
    from ab_platform.tuning.grid import grid, try_all

    with ExitStack() as bars:

        def on_epoch(made: Recipe) -> Callable[[EpochReport], None]:
            return bars.enter_context(training_bar(_said({name: made.config[name] for name in options})))

        trials = try_all(bench, arm, grid(options), on_epoch=on_epoch)
        return sorted(trials, key=lambda trial: -trial.validation_ndcg)


def _print_grid(trials: Sequence[Trial], names: Sequence[str], source: Source, *, as_json: bool) -> None:
    if as_json:
        return print_json(trials)
    recommender = trials[0].recipe.recommender
    rows = [[*(str(trial.recipe.config[name]) for name in names), trial.validation_ndcg] for trial in trials]
    print_table(f"{recommender} on validation users of {source.dataset}", [*names, "NDCG@100"], rows)
    return say(f"best: {_next_command(trials[0].recipe, source)}")


def _search(plan: Plan) -> None:
    """Search, with a bar over trials and epochs."""
    from ab_platform.tuning.searching import search

    wanted = plan.wanted
    before = sum(trial.state != "running" for trial in plan.trials())
    with bar(plan.study.recommender) as advance:

        def watch(trial: StudyTrial, report: EpochReport) -> None:
            stage = f"trial {trial.number} of {wanted}, epoch {report.epoch} of {report.epochs}"
            # Of what this call does: what is left is told by how fast this went.
            done = trial.number - 1 - before + report.epoch / report.epochs
            advance(done, wanted - before, note=_note(plan, trial), stage=stage)

        for trial in search(replace(plan, watch=watch)):
            say(f"trial {trial.number} of {wanted} {trial.state}: {_note(plan, trial)}")
            advance(trial.number - before, wanted - before, stage=f"trial {trial.number} of {wanted}")


def _note(plan: Plan, trial: StudyTrial) -> str:
    """Say what a trial takes and how good it is."""
    best = "" if trial.best_so_far is None else f"NDCG@100 {trial.best_so_far:.4f}"
    return f"{best} {_said(plan.study.settings(trial))}".strip()


def _print_search(plan: Plan, source: Source, *, as_json: bool) -> None:
    from ab_platform.tuning.study import best_first, changed
    from ab_platform.tuning.suggesting import importances

    trials = best_first(plan.trials())
    complete = [trial for trial in trials if trial.state == "complete"]
    shares = importances(plan.study, trials)
    if as_json:
        return print_json(Tuned(plan.study.key, trials, changed(complete[0].recipe) if complete else None, shares))
    names = list(plan.study.ranges)
    rows = [_row(trial, names) for trial in trials]
    title = f"{plan.study.recommender} on validation users of {source.dataset}"
    print_table(title, ["trial", *names, "NDCG@100", "epochs", "state"], rows)
    for trial in trials:
        if trial.reason:
            say(f"trial {trial.number} failed: {trial.reason}")
    if shares:
        say("what mattered: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    return say(_ending(plan, complete, source))


def _row(trial: StudyTrial, names: Sequence[str]) -> list[object]:
    settings = (str(trial.recipe.config[name]) for name in names)
    return [str(trial.number), *settings, trial.best_so_far, max(trial.curve, default=0), trial.state]


def _ending(plan: Plan, complete: Sequence[StudyTrial], source: Source) -> str:
    """Say what to do next."""
    left = plan.wanted - sum(trial.state != "running" for trial in plan.trials())
    more = f"{left} of {plan.wanted} trials have not ended; the same command goes on with them" if left > 0 else ""
    if not complete:
        return more or "no trial is complete; look for other settings: --search learning_rate=0.00001..0.001:log"
    return "\n".join(filter(None, [more, f"best: {_next_command(complete[0].recipe, source)}"]))


def _next_command(made: Recipe, source: Source) -> str:
    """Return what to type to use the settings of a trial."""
    from ab_platform.tuning.study import changed

    if source.files is not None:
        return f"abp evaluate {made.recommender} --tuned --from {shlex.quote(str(source.files))}"
    asked = [f"--dataset {source.dataset}"]
    if source.least_rating != LEAST_RATING:
        asked.append(f"--least-rating {source.least_rating:g}")
    if source.offline:
        return " ".join([f"abp evaluate {made.recommender} --tuned", *asked])
    if source.hold_back != HOLD_BACK:
        asked.append(f"--hold-back {source.hold_back:g}")
    if made.seed:
        asked.append(f"--seed {made.seed}")
    settings = [f"--set {name}={value}" for name, value in changed(made).items()]
    return " ".join([f"abp train {made.recommender}", *asked, *settings])


def _said(settings: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.items())


def parse_values(text: str) -> tuple[str, list[ConfigValue]]:
    """Read `setting=value,value,...`."""
    name, values = parse_setting(text)
    return name, [parse_value(each.strip()) for each in values.split(",")] if isinstance(values, str) else [values]


def parse_range(text: str) -> tuple[str, Search]:
    """Read `setting=low..high`, or `setting=low..high:log` for values that are spread by their logarithm.

    Raises:
        ExperimentError: where it is not that.
    """
    from models.config import Search

    found = re.fullmatch(r"\s*(\w+)\s*=(.+?)\.\.(.+?)(:log)?", text)
    try:
        if found is None:
            raise ValueError
        return found[1], Search(float(found[2]), float(found[3]), log=found[4] is not None)
    except ValueError:
        raise ExperimentError(
            f"'{text}' is not a range; write setting=low..high, or low..high:log, such as alignment=0.01..3:log"
        ) from None
