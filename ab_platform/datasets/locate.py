"""From what was asked for to an open source: by name in the data folder or downloaded, by path as it is recognised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ab_platform.datasets import gowalla, million_song, movielens, netflix
from ab_platform.datasets.catalog import BY_HAND, DOWNLOADED, NAMES, SYNTHETIC, address
from ab_platform.datasets.csv_file import open_csv
from ab_platform.datasets.download import OnBytes, download
from ab_platform.datasets.files import members
from ab_platform.datasets.naming import ColumnNames
from ab_platform.datasets.parquet_file import open_parquet
from ab_platform.datasets.source import Source
from ab_platform.datasets.synthetic import Synthetic, World
from ab_platform.errors import DataError, nearest

_LAYOUTS: tuple[Callable[..., Source | None], ...] = (movielens.find, netflix.find, million_song.find, gowalla.find)
_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".tsv", ".txt")


def locate(
    source: str, *, data_home: Path, columns: ColumnNames, seed: int, allow_download: bool, on_bytes: OnBytes
) -> Source:
    """Open what was asked for.

    Args:
        source: a name of `NAMES`, or the path of a zip, folder, CSV or Parquet file.
        data_home: folder where names are looked for and downloaded to.
        columns: which columns of a CSV or Parquet file hold what.
        seed: of `synthetic`.
        allow_download: whether a name that is not there may be fetched.
        on_bytes: told how far a download is.

    Raises:
        DataError: nothing is there by that name or path, or it is in no known layout.
    """
    if source == SYNTHETIC:
        return Synthetic(World(seed=seed))
    if source in NAMES:
        path = _in_data_home(source, data_home)
        if path is None:
            path = _fetched(source, data_home, allow_download=allow_download, on_bytes=on_bytes)
        return _recognised(path, source)
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"'{source}' is neither a file or folder nor a known data set; {nearest(source, NAMES)}")
    return _at_path(path, columns)


def _in_data_home(name: str, data_home: Path) -> Path | None:
    return next((path for path in (data_home / f"{name}.zip", data_home / name) if path.exists()), None)


def _fetched(name: str, data_home: Path, *, allow_download: bool, on_bytes: OnBytes) -> Path:
    looked = f"{name} is not in ABP_DATA_HOME: neither {data_home / f'{name}.zip'} nor the folder {data_home / name}"
    if name not in DOWNLOADED:
        raise DataError(f"{looked}; it has no download, so put its files there: {BY_HAND[name]}")
    if not allow_download:
        raise DataError(f"{looked}; allow the download, or fetch {address(name)} by hand and put it there")
    target = data_home / f"{name}.zip"
    download(address(name), target, on_bytes)
    return target


def _recognised(path: Path, name: str) -> Source:
    files = members(path)
    for find in _LAYOUTS:
        found = find(files, name=name, place=str(path))
        if found is not None:
            return found
    some = ", ".join(sorted({file.name for file in files})[:5]) or "nothing"
    raise DataError(
        f"{path} holds {some}; it must be in the layout of MovieLens (ratings and movies), the Netflix Prize "
        f"({BY_HAND['netflix']}), the Taste Profile ({BY_HAND['million-song']}) or Gowalla ({BY_HAND['gowalla']}), or "
        "be one CSV or Parquet file"
    )


def _at_path(path: Path, columns: ColumnNames) -> Source:
    ending = path.suffix.lower()
    if path.is_file() and ending in _PARQUET:
        return open_parquet(path, columns)
    if path.is_file() and ending in _CSV:
        return open_csv(path, columns)
    if path.is_file() and ending != ".zip":
        raise DataError(f"{path} ends in '{ending}'; it must be a .csv, .tsv, .parquet or .zip file, or a folder")
    if columns != ColumnNames():
        raise DataError(f"{path} is no CSV or Parquet file, so its columns cannot be named; leave the names out")
    return _recognised(path, path.stem if path.is_file() else path.resolve().name)
