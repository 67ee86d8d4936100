"""The tasks that several DAGs share: reading the form, training arms up to their quality gate, telling people.

An arm travels between tasks as plain values: the text of its experiment, its name, its seed and its epochs.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import get_current_context, task

from dags.workplace import ARTIFACTS, definition, gpu_options, now, store, workshop


@task
def read_definition() -> str:
    """Read the experiment that the form names, and check every rule of it; a broken one fails with file and line."""
    from ab_platform.experiment_file import parse
    from ab_platform.training import check_arms

    text, source = definition(get_current_context()["params"])
    parse(text, source=source, check=check_arms)
    print(text)
    return text


@task
def ingest_data(definition: str) -> str:
    """Bring the experiment's data set in, unless it is there; return its name."""
    from ab_platform.datasets.ingest import ingest
    from ab_platform.experiment_file import parse
    from ab_platform.pseudonym import Pseudonyms
    from ab_platform.settings import from_environment

    dataset = parse(definition).data.dataset
    settings = from_environment()
    with store() as opened:
        if opened.dataset(dataset) is None:
            known_by = Pseudonyms(settings.user_id_key)
            ingest(opened, dataset, data_home=settings.data_home, at=now(), pseudonyms=known_by)
    return dataset


@task(**gpu_options(), map_index_template="{{ label }}")
def train_arm(arm: dict[str, Any]) -> dict[str, Any]:
    """Train one arm, or take it up where a worker was lost; the same recipe is not trained twice."""
    from ab_platform.conduct import training as conduct
    from ab_platform.settings import from_environment

    wanted = conduct.Wanted(**arm)
    get_current_context()["label"] = wanted.label  # type: ignore[typeddict-unknown-key]
    with store() as opened:
        gpus = from_environment().gpus
        made = conduct.train_wanted(opened, workshop(), wanted, at=now(), processes=gpus, on_line=print)
    return {**arm, "artifact_id": made.artifact_id, "scores": dict(made.scores)}


@task(outlets=[ARTIFACTS], map_index_template="{{ label }}")
def quality_gate(trained: dict[str, Any]) -> dict[str, Any]:
    """Refuse an arm that ranks the validation users' titles too badly; what passes may serve."""
    from ab_platform.conduct import training as conduct

    wanted = conduct.Wanted(**{name: trained[name] for name in conduct.FIELDS})
    get_current_context()["label"] = wanted.label  # type: ignore[typeddict-unknown-key]
    with store() as opened:
        found = conduct.require(opened, wanted, trained["artifact_id"])
    print(found.sentence)
    return {**trained, "popularity": found.popularity, "required": found.required}


@task
def tell() -> int:
    """Send the alerts that were not sent, to the log and to where the settings say; return how many."""
    from ab_platform.conduct.notify import Channels, notify
    from ab_platform.settings import from_environment

    settings = from_environment()
    channels = Channels(settings.alert_webhook, settings.alert_email, settings.smtp_url)
    with store() as opened:
        return len(notify(opened, channels, now=now()))
