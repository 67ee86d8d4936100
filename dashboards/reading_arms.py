"""What the pages on arms read: what was trained, and what commands found and kept as documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import streamlit as st

from ab_platform.documents import Document, Kind, restored
from ab_platform.errors import NotFoundError, nearest
from ab_platform.latent_findings import LatentSpaces
from ab_platform.lineage import Artifact, Trial
from ab_platform.offline.results import Comparison
from ab_platform.reporting.lineage import Origins
from ab_platform.storage.store import Store
from ab_platform.training_log import Training
from dashboards.reading import FRESH_SECONDS, store


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def origins(url: str, key: str) -> Origins:
    """Read all that led to an experiment.

    Raises:
        NotFoundError: for an experiment that is not there.
        StoreError: for a database that is away.
    """
    opened = store(url)
    launch = opened.experiment(key)
    artifacts = {name: opened.artifact(artifact_id) for name, artifact_id in launch.artifacts.items()}
    return Origins(launch, opened.dataset(launch.experiment.data.dataset), artifacts, _trainings(opened, artifacts))


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def popularity(url: str, key: str) -> Artifact | None:
    """Read the popularity that an experiment froze; None where it froze none.

    Raises:
        StoreError: for a database that is away.
    """
    opened = store(url)
    fallback = opened.experiment(key).fallback
    return None if fallback is None else opened.artifact(fallback)


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def trials(url: str, key: str) -> Mapping[str, tuple[Trial, ...]]:
    """Read the trials of each arm's recommender on the same data and code, by the arm's name.

    Raises:
        StoreError: for a database that is away.
    """
    opened = store(url)
    recipes = {name: artifact.recipe for name, artifact in origins(url, key).artifacts.items()}
    return {
        name: opened.trials(recipe.recommender, recipe.data_hash, recipe.code_version)
        for name, recipe in recipes.items()
    }


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def written(url: str, kind: Kind) -> Mapping[str, datetime]:
    """Read when each document of a kind was written, by its name, the newest first.

    Raises:
        StoreError: for a database that is away.
    """
    return store(url).documents(kind)


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def comparison(url: str, name: str) -> Comparison:
    """Read what `abp evaluate` found.

    Raises:
        NotFoundError: for a comparison that is not there any more.
        StoreError: for one of another version, or a database that is away.
    """
    return restored(Comparison, _document(url, "comparison", name))


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False)
def latent_spaces(url: str, name: str) -> LatentSpaces:
    """Read what `abp geometry` found.

    Raises:
        NotFoundError: for findings that are not there any more.
        StoreError: for findings of another version, or a database that is away.
    """
    return restored(LatentSpaces, _document(url, "geometry", name))


def _document(url: str, kind: Kind, name: str) -> Document:
    found = store(url).document(kind, name)
    if found is None:
        raise NotFoundError(f"there is no {kind} '{name}' any more; {nearest(name, store(url).documents(kind))}")
    return found


def _trainings(opened: Store, artifacts: Mapping[str, Artifact]) -> dict[str, Training]:
    documents = {each.artifact_id: opened.document("training", each.artifact_id) for each in artifacts.values()}
    return {name: restored(Training, found) for name, found in documents.items() if found is not None}
