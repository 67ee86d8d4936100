"""Tables 1 and 3 of the paper, and its ablations: every arm on one split, tuned with an equal budget, three seeds.

    ABP_DATA_HOME=... python -m benchmarks.table1 ml-1m --output docs/offline.md
    ABP_DATA_HOME=... python -m benchmarks.table1 gowalla --output docs/offline.md

It does what `abp ingest`, `abp tune --protocol offline`, `abp evaluate` and `abp ablate` do, in a home of its own, with
one arm a process. Every trial, checkpoint and score is kept there, so the command can be stopped and started at will.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from ab_platform.documents import Document, plain
from ab_platform.experiment import Arm, ConfigValue
from ab_platform.lineage import StudyTrial
from ab_platform.offline.ablations import ABLATIONS, arms_of
from ab_platform.offline.activity import count_active
from ab_platform.offline.arms import OfflineArm, Run, runs, settable
from ab_platform.offline.comparing import compare_arms
from ab_platform.offline.evaluating import Setup
from ab_platform.offline.protocol import OfflineSplit, Protocol, of_dataset
from ab_platform.offline.results import Comparison
from ab_platform.reporting.markdown import escape
from ab_platform.reporting.offline import as_markdown, sentences
from ab_platform.reporting.offline_picture import as_svg
from ab_platform.storage.store import open_store
from ab_platform.training import Workshop
from ab_platform.tuning.measuring import Bench, Material
from ab_platform.tuning.searching import Budget, Plan, search
from ab_platform.tuning.study import best_first, changed, study_of
from benchmarks import records
from benchmarks.arms.processes import THREADS
from models.registry import default_config
from models.training import threads

SEEDS = (1, 2, 3)
TUNING_SEED = 0
CONTROL = "multi_vae"

FURTHER = (("rec_vae", "pia_rec_vae"), ("ease", "pia"))
"""Controls and treatments that are compared by themselves besides: PIA on RecVAE, and PIA beside what costs less."""

Settings = Mapping[str, ConfigValue]

ABLATED_WITH: Mapping[str, Settings] = {"beta": {"anneal_epochs": 3}}
"""Settings of single ablations. Grown slowly, a heavy KL weight has not collapsed the epoch that validation chooses."""

ARMS: Mapping[str, tuple[str, Settings]] = {
    "popularity": ("popularity", {}),
    "mf": ("mf", {}),
    "wmf": ("wmf", {}),
    "plrec": ("plrec", {}),
    "ease": ("ease", {}),
    "cdae": ("cdae", {}),
    "ngcf": ("ngcf", {}),
    "multi_vae": ("multi_vae", {}),
    "multi_vae, clean input": ("multi_vae", {"keep": 1.0}),
    "ract": ("ract", {}),
    "rec_vae": ("rec_vae", {}),
    "pia": ("pia", {}),
    "pia_rec_vae": ("pia_rec_vae", {}),
}
"""The recommender of each label, and what makes it differ."""


@dataclass(frozen=True)
class Study:
    """How the arms are compared on one data set.

    Attributes:
        dataset: its name.
        protocol: how its users are split.
        trials: that each arm's tuning has, the first of them with the defaults.
        shared: settings of every arm that has them, in tuning and afterwards.
        own: further settings of single recommenders.
        ablated: whether the ablations run on it.
    """

    dataset: str
    protocol: Protocol
    trials: int
    shared: Settings
    own: Mapping[str, Settings] = field(default_factory=dict)
    ablated: bool = False

    def fixed(self, recommender: str, given: Settings) -> dict[str, ConfigValue]:
        """Return the settings of an arm that are not tuned."""
        known = default_config(recommender)
        wanted = {**self.shared, **self.own.get(recommender, {}), **given}
        return {name: value for name, value in wanted.items() if name in known}


STUDIES: Mapping[str, Study] = {
    # Batches of 100: 4,534 training users are 10 steps an epoch in those of 500 that larger data sets use.
    "ml-1m": Study(
        "ml-1m",
        Protocol(validation_users=500, test_users=1_000),
        trials=4,
        shared={"batch": 100, "epochs": 60, "patience": 10, "anneal_epochs": 40},
        own={
            "ract": {"actor_epochs": 30, "critic_epochs": 8},
            "mf": {"epochs": 100},
            # An epoch of theirs passes the users four times.
            "rec_vae": {"epochs": 40},
            "pia_rec_vae": {"epochs": 40},
        },
        ablated=True,
    ),
    # To take hours and not a day on two cores: a smaller network, fewer epochs, and the third of the titles that most
    # users have, since an epoch takes the longer the more titles there are.
    "gowalla": Study(
        "gowalla",
        Protocol(least_users=20, validation_users=2_000, test_users=2_000),
        trials=3,
        shared={"batch": 250, "epochs": 15, "patience": 5, "anneal_epochs": 5, "hidden": 200, "latent": 64},
        own={
            "ract": {"actor_epochs": 9, "critic_epochs": 2},
            "mf": {"epochs": 60},
            "rec_vae": {"epochs": 6},
            "pia_rec_vae": {"epochs": 6},
        },
    ),
}


@dataclass(frozen=True)
class Place:
    """Where everything is kept."""

    home: Path

    @property
    def database_url(self) -> str:
        """Return the address of the store."""
        return f"sqlite:///{self.home / 'abp.db'}"

    @property
    def workshop(self) -> Workshop:
        """Return where arms are trained."""
        return Workshop(self.home / "artifacts", self.home / "checkpoints", device="cpu")

    def setup(self, jobs: int) -> Setup:
        """Return where arms are judged."""
        return Setup(self.workshop, self.home / "evaluations", jobs)


def split_of(place: Place, study: Study) -> OfflineSplit:
    """Split the users of the ingested data set."""
    return of_dataset(open_store(place.database_url, migrate=False), study.dataset, study.protocol)


def plan_of(place: Place, study: Study, offline: OfflineSplit, label: str) -> Plan:
    """Lay out the tuning of an arm."""
    recommender, given = ARMS[label]
    material = Material(offline.dataset, offline.data_hash, offline.split)
    bench = Bench(open_store(place.database_url, migrate=False), place.workshop, material, lambda: datetime.now(UTC))
    arm = Arm(recommender, recommender, 1.0, seed=TUNING_SEED, config=study.fixed(recommender, given))
    return Plan(bench, study_of(material, arm), Budget(study.trials))


def tune(place: Place, study: Study, label: str) -> str:
    """Tune an arm to the end of its budget, on one thread, and say what was best."""
    with threads(1):
        plan = plan_of(place, study, split_of(place, study), label)
        for _ in search(plan):
            pass
    best = best_trial(plan)
    return f"{label}: validation NDCG@100 {best.best_so_far or 0.0:.4f} with {changed(best.recipe)}"


def best_trial(plan: Plan) -> StudyTrial:
    """Return the trial that was best on the validation users."""
    return best_first(plan.trials())[0]


def tune_all(place: Place, study: Study, labels: Sequence[str], jobs: int) -> None:
    """Tune the arms, several at a time."""
    # Not forked: a forked child may inherit locks that the parent's threads held.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        # The slowest arms are the last ones; started first, they leave no processor idle at the end.
        for done in as_completed([pool.submit(tune, place, study, label) for label in reversed(labels)]):
            say(done.result())


def tuned_arms(place: Place, study: Study, offline: OfflineSplit, labels: Iterable[str]) -> list[OfflineArm]:
    """Return the arms with the settings of their best trials."""
    best = {label: best_trial(plan_of(place, study, offline, label)).recipe for label in labels}
    return [OfflineArm(label, made.recommender, settable(changed(made))) for label, made in best.items()]


def main_section(place: Place, study: Study, labels: Sequence[str], jobs: int, output: Path) -> str:
    """Tune, train on every seed, judge, and return the section of the document."""
    tune_all(place, study, labels, jobs)
    offline = split_of(place, study)
    arms = tuned_arms(place, study, offline, labels)
    found = compare_arms(place.setup(jobs), offline, arms, seeds=SEEDS, against=CONTROL, on_done=_tell)
    keep(place, study.dataset, found)
    picture = output.parent / "images" / f"offline-{study.dataset}.svg"
    picture.write_text(as_svg(found), encoding="utf-8")
    text = as_markdown(found, picture=picture.relative_to(output.parent).as_posix())
    further = "\n".join(_further(place, offline, arms))
    budget = _budget(place, study, offline, labels)
    return "\n\n".join([text.strip(), "Beside other controls:", further, budget, records.versions() + "."])


def _further(place: Place, offline: OfflineSplit, arms: Iterable[OfflineArm]) -> Iterator[str]:
    """Say what came of the further comparisons; the trainings are those of the main one."""
    known = {arm.label: arm for arm in arms}
    for control, treatment in FURTHER:
        pair = [known[control], known[treatment]]
        found = compare_arms(place.setup(1), offline, pair, seeds=SEEDS, against=control)
        yield from (f"- {escape(sentence)}" for sentence in sentences(found))


def ablation_section(place: Place, study: Study, name: str, jobs: int, output: Path) -> str:
    """Run an ablation with the study's shared settings, and return its section."""
    chosen, offline = ABLATIONS[name], split_of(place, study)
    given = {**study.shared, **ABLATED_WITH.get(name, {})}
    shared = {setting: value for setting, value in given.items() if setting not in chosen.varies}
    arms = arms_of(chosen, items=len(offline.split.train.items), shared=shared)
    active = count_active(place.setup(1), offline, runs(arms, SEEDS)) if chosen.counts_active else ()
    found = compare_arms(place.setup(jobs), offline, arms, seeds=SEEDS, against=chosen.control, on_done=_tell)
    keep(place, f"{study.dataset}, ablation {name}", found)
    picture = output.parent / "images" / f"ablation-{name}.svg"
    picture.write_text(as_svg(found), encoding="utf-8")
    body = as_markdown(found, picture=picture.relative_to(output.parent).as_posix()).partition("\n")[2].strip()
    in_use = "\n".join(f"- {each.words}" for each in active)
    told = [f"## Ablation on {study.dataset}: {name}", chosen.question, body, *([in_use] if active else [])]
    return "\n\n".join(told)


def keep(place: Place, name: str, found: Comparison) -> None:
    """Store a comparison under a name, for the dashboard of this home."""
    store = open_store(place.database_url, migrate=True)
    store.write_document(Document("comparison", name, datetime.now(UTC), plain(found)))


def _budget(place: Place, study: Study, offline: OfflineSplit, labels: Iterable[str]) -> str:
    """Say what tuning did."""
    lines = [
        f"Every arm was tuned by {study.trials} trials on the validation users (`abp tune --protocol offline`), the "
        f"first with its defaults; trials that fell behind were given up. Not tuned: {_words(study.shared)}"
        + "".join(f"; of {name} {_words(own)}" for name, own in study.own.items())
        + ".\n",
        "| arm | trials | given up | failed | defaults | best | settings that differ from the defaults |",
        "|---|---|---|---|---|---|---|",
    ]
    for label in labels:
        trials = plan_of(place, study, offline, label).trials()
        best = best_first(trials)[0]
        states = [trial.state for trial in trials]
        settings = _words(changed(best.recipe)) or "none"
        lines.append(
            f"| {label} | {len(trials)} | {states.count('pruned')} | {states.count('failed')} "
            f"| {trials[0].best_so_far or 0.0:.4f} | {best.best_so_far or 0.0:.4f} | {settings} |"
        )
    return "\n".join(lines)


def _words(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _tell(run: Run, done: int, total: int) -> None:
    say(f"{done} of {total}: {run.arm.label}, seed {run.seed}")


def say(text: str) -> None:
    """Print a line with the time."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


def ingest(place: Place, dataset: str) -> None:
    """Bring the data set in, unless it is there."""
    abp = Path(sys.executable).with_name("abp")
    subprocess.run([abp, "ingest", dataset], env={**os.environ, "ABP_HOME": str(place.home)}, check=True)


def main() -> None:
    """Run what has not been run and write the sections."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset", choices=STUDIES)
    parser.add_argument("--home", type=Path, default=Path(".abp/benchmarks/table1"))
    parser.add_argument("--output", type=Path, default=Path("docs/offline.md"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--arms", help="labels, separated by semicolons, to tune and no more")
    parser.add_argument("--ablations", action="store_true", help="the ablations alone")
    arguments = parser.parse_args()
    place, study = Place(arguments.home.absolute()), STUDIES[arguments.dataset]
    if arguments.ablations and not study.ablated:
        parser.error(f"the ablations do not run on {study.dataset}; choose ml-1m")
    os.environ.update(dict.fromkeys(THREADS, "1"))
    ingest(place, study.dataset)
    if arguments.arms:
        return tune_all(place, study, arguments.arms.split(";"), arguments.jobs)
    if not arguments.ablations:
        text = main_section(place, study, list(ARMS), arguments.jobs, arguments.output)
        records.put_section(arguments.output, f"table1-{study.dataset}", text)
    for name in ABLATIONS if study.ablated else ():
        text = ablation_section(place, study, name, arguments.jobs, arguments.output)
        records.put_section(arguments.output, f"ablation-{name}", text)
    return None


if __name__ == "__main__":
    main()
