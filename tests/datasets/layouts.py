"""Miniature files in the layouts that the data sets are published in, and a reader of whole sources."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ab_platform.datasets.locate import locate
from ab_platform.datasets.naming import ColumnNames
from ab_platform.datasets.source import BadRows, Batch, Source
from ab_platform.lineage import Title

USUAL = ColumnNames()
NOWHERE = Path("nowhere")

ML_1M = {
    "ratings.dat": b"1::1193::5::978300760\n1::661::3::978302109\n2::1193::4::978298413\n",
    "movies.dat": (
        "661::James and the Giant Peach (1996)::Animation|Children's|Musical\n"
        "1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n"
        "73::Misérables, Les (1995)::Drama|Musical\n"
    ).encode("iso-8859-1"),
    "users.dat": b"1::F::1::10::48067\n2::M::56::16::70072\n",
    "README": b"SUMMARY\n",
}

ML_LATEST = {
    "ratings.csv": (
        b"userId,movieId,rating,timestamp\r\n1,31,2.5,1260759144\r\n1,11,3.0,1260759179\r\n15,31,4.5,997938310\r\n"
    ),
    "movies.csv": (
        "movieId,title,genres\r\n"
        '11,"American President, The (1995)",Comedy|Drama|Romance\r\n'
        "31,Cité des enfants perdus (1995),Adventure|Sci-Fi\r\n"
        '108548,"Big Bang Theory, The (2007-)",Comedy\r\n'
        '164979,"Women of \'69, Unboxed",(no genres listed)\r\n'
    ).encode(),
    "links.csv": b"movieId,imdbId,tmdbId\r\n11,0112346,9087\r\n",
    "tags.csv": b"userId,movieId,tag,timestamp\r\n15,31,dark,997938311\r\n",
}

# Every file of the archive: those beside the ratings and the movies must not be taken for either.
ML_20M = {
    "ratings.csv": (
        b"userId,movieId,rating,timestamp\r\n1,2,3.5,1112486027\r\n1,29,3.5,1112484676\r\n"
        b"138493,70286,5,1258126944\r\n138493,29,0.5,1260209449\r\n"
    ),
    "movies.csv": (
        "movieId,title,genres\r\n"
        "2,Jumanji (1995),Adventure|Children|Fantasy\r\n"
        '29,"City of Lost Children, The (Cité des enfants perdus, La) (1995)",Adventure|Drama|Fantasy|Sci-Fi\r\n'
        "70286,District 9 (2009),Mystery|Sci-Fi|Thriller\r\n"
        "131262,Innocence (2014),(no genres listed)\r\n"
    ).encode(),
    "genome-scores.csv": b"movieId,tagId,relevance\r\n1,1,0.025000000000000022\r\n",
    "genome-tags.csv": b"tagId,tag\r\n1,007\r\n",
    "links.csv": b"movieId,imdbId,tmdbId\r\n2,0113497,8844\r\n",
    "tags.csv": b"userId,movieId,tag,timestamp\r\n18,4141,Mark Waters,1240597180\r\n",
    "README.txt": b"Summary\r\n=======\r\n",
}

NETFLIX_TITLES = {
    "movie_titles.txt": "1,2003,Dinosaur Planet\n2,2004,Isle of Man TT 2004 Review\n3,NULL,Café, Bar, Hôtel\n".encode(
        "iso-8859-1"
    )
}

NETFLIX_TRAINING_SET = NETFLIX_TITLES | {
    "training_set/mv_0000001.txt": b"1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n",
    "training_set/mv_0000002.txt": b"2:\n822109,4,2005-05-14\n",
    "training_set/mv_0000003.txt": b"3:\n1488844,1,1999-12-31\n",
}

NETFLIX_COMBINED = NETFLIX_TITLES | {
    "combined_data_1.txt": b"1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n2:\n822109,4,2005-05-14\n",
    "combined_data_2.txt": b"3:\n1488844,1,1999-12-31\n",
}

# What lies beside the ratings in the archive: the same headings with no ratings below, for the prize's own test.
NETFLIX_BESIDE = {
    "probe.txt": b"1:\n1488844\n",
    "qualifying.txt": b"1:\n1046323,2005-12-19\n",
    "README": b"SUMMARY\n",
    "rmse.pl": b"#!/usr/bin/perl\n",
}

TASTE_PROFILE = {
    "train_triplets.txt": (
        b"b80344d063\tSOAKIMP12A8C130995\t1\nb80344d063\tSOBBMDR12A8C13253B\t12\n85c1f87fea\tSOAKIMP12A8C130995\t2\n"
    ),
    "unique_tracks.txt": (
        "TRMMMYQ128F932D901<SEP>SOAKIMP12A8C130995<SEP>Jack Johnson<SEP>The Cove\n"
        "TRMMMKD128F425225D<SEP>SOAKIMP12A8C130995<SEP>Jack Johnson<SEP>The Cove (live)\n"
        "TRMMMRX128F93187D9<SEP>SONEVER12A8C13AAAA<SEP>Björk<SEP>Jóga\n"
    ).encode(),
}

# As the NGCF and LightGCN repositories ship it: users without test items end their line after the user and a blank.
GOWALLA = {
    "train.txt": b"0 0 1 2\n1 3 0\n2 4\n",
    "test.txt": b"0 5\n1 1 4\n2 \n",
    "item_list.txt": b"org_id remap_id\n9246 0\n",
    "user_list.txt": b"org_id remap_id\n0 0\n",
}


def unpacked(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder and return it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def zipped(path: Path, files: Mapping[str, bytes], *, top: str) -> Path:
    """Write files into a zip, below one folder, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{top}/", b"")
        for name, data in files.items():
            archive.writestr(f"{top}/{name}", data)
    return path


@dataclass(frozen=True)
class Content:
    """All that a source holds.

    Attributes:
        titles: by their id.
        rows: (user, title, rating, at).
        bad_rows: rows left out.
        content_hash: of the source.
    """

    titles: Mapping[str, Title]
    rows: list[tuple[str, str, float | None, int | None]]
    bad_rows: int
    content_hash: str


def opened(source: Path | str, columns: ColumnNames = USUAL, *, data_home: Path = NOWHERE) -> Source:
    """Open a source without a network."""
    return locate(
        str(source),
        data_home=data_home,
        columns=columns,
        seed=0,
        allow_download=False,
        on_bytes=lambda done, total: None,
    )


def rows_of(batch: Batch) -> list[tuple[str, str, float | None, int | None]]:
    """Return a batch row by row."""
    nothing = [None] * len(batch.user_ids)
    ratings = nothing if batch.ratings is None else batch.ratings.tolist()
    at = nothing if batch.at is None else batch.at.tolist()
    return list(zip(batch.user_ids, batch.title_ids, ratings, at, strict=True))


def read_all(source: Path | str, columns: ColumnNames = USUAL, *, skip_bad: bool = False) -> Content:
    """Read a source to its end."""
    found, bad = opened(source, columns), BadRows(skip=skip_bad)
    titles: dict[str, Title] = {}
    for title in found.titles(bad):
        titles.setdefault(title.title_id, title)
    rows = [row for batch in found.batches(bad) for row in rows_of(batch)]
    return Content(titles, rows, bad.count, found.content_hash(lambda done: None))
