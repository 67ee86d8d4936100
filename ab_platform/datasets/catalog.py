"""The data sets that are known by name: what each is and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping

GROUPLENS = "https://files.grouplens.org/datasets/movielens"

DOWNLOADED = ("ml-1m", "ml-20m", "ml-25m", "ml-32m", "ml-latest-small", "ml-latest")
"""Fetched from GroupLens, as `NAME.zip`, where they are not there yet. Their terms allow research and no passing on."""

SYNTHETIC = "synthetic"

NAMES: Mapping[str, str] = {
    "ml-1m": "MovieLens 1M: 1,000,209 ratings of 6,040 users, 2000 to 2003",
    "ml-20m": "MovieLens 20M: 20,000,263 ratings of 138,493 users, 1995 to 2015",
    "ml-25m": "MovieLens 25M: 25,000,095 ratings of 162,541 users, 1995 to 2019",
    "ml-32m": "MovieLens 32M: 32,000,204 ratings of 200,948 users, 1995 to 2023",
    "ml-latest-small": "MovieLens latest-small: about 100,000 ratings; changes over time",
    "ml-latest": "MovieLens latest: all ratings that there are; changes over time",
    "netflix": "Netflix Prize: 100,480,507 ratings of 480,189 users; from a folder",
    "million-song": "Million Song Dataset, Taste Profile: 48,373,586 songs that 1,019,318 users played; from a folder",
    "gowalla": "Gowalla, the NGCF split: 1,027,370 check-ins of 29,858 users; from a folder",
    SYNTHETIC: "made up from a seed: 2,000 users with tastes, 800 titles; needs no file and no network",
}
"""One line on each data set that `ingest` knows by name."""

BY_HAND: Mapping[str, str] = {
    "netflix": "training_set/mv_*.txt or combined_data_*.txt, and movie_titles.txt",
    "million-song": "train_triplets.txt (or train_triplets.txt.zip) and, for titles, unique_tracks.txt",
    "gowalla": "train.txt and test.txt",
}
"""The files of those that have to be fetched by hand."""


def address(name: str) -> str:
    """Return where a data set is downloaded from; its MD5 sum is beside it, with `.md5` at the end."""
    return f"{GROUPLENS}/{name}.zip"
