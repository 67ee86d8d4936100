"""The use case: bring a source's titles and interactions into the store, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ab_platform.datasets.locate import locate
from ab_platform.datasets.naming import ColumnNames
from ab_platform.datasets.pseudonymous import Pseudonymous
from ab_platform.datasets.source import BadRows, IngestProgress, Source
from ab_platform.errors import DataError, StoreError
from ab_platform.lineage import Dataset, Title
from ab_platform.pseudonym import OWN_IDS, Pseudonyms

if TYPE_CHECKING:
    from ab_platform.storage.datasets import DatasetWriter
    from ab_platform.storage.store import Store

_TITLES_AT_ONCE = 10_000

Report = Callable[[IngestProgress], None]


@dataclass(frozen=True)
class Ingested:
    """What came of an ingest.

    Attributes:
        dataset: what the store holds now.
        changed: False where it was there already.
    """

    dataset: Dataset
    changed: bool


def ingest(
    store: Store,
    source: str,
    *,
    data_home: Path,
    at: datetime,
    name: str | None = None,
    columns: ColumnNames | None = None,
    skip_bad: bool = False,
    allow_download: bool = True,
    seed: int = 0,
    pseudonyms: Pseudonyms = OWN_IDS,
    progress: Report | None = None,
) -> Ingested:
    """Bring a data set into the store in one transaction; a second ingest of the same content changes nothing.

    Args:
        store: where to.
        source: a name of `NAMES`, or the path of a zip, folder, CSV or Parquet file.
        data_home: folder where names are looked for and downloaded to.
        at: the moment of the ingest.
        name: what to call it in the store; by default the name, or the file's name without its ending.
        columns: which columns of a CSV or Parquet file hold what; by default the usual names.
        skip_bad: leave bad rows out and count them, where otherwise the first one refuses the source.
        allow_download: whether a name that is not in `data_home` may be fetched.
        seed: of `synthetic`.
        pseudonyms: how its users are known.
        progress: told how far it is.

    Raises:
        DataError: nothing there by that name, a bad row, or other content under that name, also where only the users
            are known otherwise.
    """
    tell = progress or _tell_nobody
    found = locate(
        source,
        data_home=data_home,
        columns=columns or ColumnNames(),
        seed=seed,
        allow_download=allow_download,
        on_bytes=lambda done, total: tell(IngestProgress("downloading", done, total, "bytes")),
    )
    known = Pseudonymous(found, pseudonyms)
    return _bring(store, known, name or found.name, at=at, bad=BadRows(skip=skip_bad), tell=tell)


def _bring(store: Store, source: Pseudonymous, name: str, *, at: datetime, bad: BadRows, tell: Report) -> Ingested:
    def tick(done: int) -> None:
        # The titles are hashed too, and only the interactions are counted.
        tell(IngestProgress("checking", min(done, source.size), source.size, source.unit))

    content_hash = source.content_hash(tick)
    if (standing := _standing(store, name, content_hash, source)) is not None:
        return standing
    try:
        with store.ingesting(name, content_hash, source.place, at) as writer:
            return Ingested(_write(writer, source, bad, tell), changed=True)
    except StoreError:
        # Another process may have brought the same in meanwhile; then there is nothing left to do.
        if (standing := _standing(store, name, content_hash, source)) is None:
            raise
        return standing


def _tell_nobody(progress: IngestProgress) -> None:
    return


def _standing(store: Store, name: str, content_hash: str, source: Pseudonymous) -> Ingested | None:
    """Return the data set of that name where it is there, with the same content."""
    known = store.dataset(name)
    if known is None:
        return None
    source.pseudonyms.require(known.content_hash, known.dataset)
    if known.content_hash != content_hash:
        raise DataError(
            f"data set '{known.dataset}' is there with other content: {known.content_hash[:12]} from {known.source}, "
            f"now {content_hash[:12]} from {source.place}; a data set never changes, so ingest it as another: "
            "--name OTHER"
        )
    return Ingested(known, changed=False)


def _write(writer: DatasetWriter, source: Source, bad: BadRows, tell: Report) -> Dataset:
    """Write titles, interactions, and a title of its own for each id that the titles lack."""
    named = _write_titles(writer, source.titles(bad))
    unnamed: set[str] = set()
    rows = 0
    for batch in source.batches(bad):
        rows += len(batch.user_ids)
        writer.write_interactions(batch.user_ids, batch.title_ids, batch.ratings, batch.at)
        unnamed.update(set(batch.title_ids) - named)
        tell(IngestProgress("storing", batch.done, source.size, source.unit))
    if not rows:
        raise DataError(f"{source.place} holds no interaction ({bad.count} bad rows); at least one is required")
    _write_titles(writer, (Title(title_id, title_id) for title_id in sorted(unnamed)))
    return writer.finish(bad.count)


def _write_titles(writer: DatasetWriter, titles: Iterable[Title]) -> set[str]:
    """Write titles, of those with one id the first; return the ids."""
    ids: set[str] = set()
    for chunk in _chunks(titles):
        first = {title.title_id: title for title in reversed(chunk) if title.title_id not in ids}
        writer.write_titles(list(first.values()))
        ids.update(first)
    return ids


def _chunks(titles: Iterable[Title]) -> Iterator[list[Title]]:
    rest = iter(titles)
    while chunk := list(islice(rest, _TITLES_AT_ONCE)):
        yield chunk
