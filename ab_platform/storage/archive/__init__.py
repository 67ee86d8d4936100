"""Days of events, exposures and user-days as Parquet files, for engines that scan many users at once.

    archive.json                          how many shards the users are divided into, once and for all
    days/2026-11-30.json                  the manifest of a published day: its files and their checksums
    user_days/day=2026-11-30/SS-HASH.parquet   the rows of one shard, named by their content
    events/...  exposures/...             likewise
    numbers/...                           of the users in these files, see `numbering`; made from them

A day is published by replacing its manifest, so a reader finds all of a day or none of it. Files never change: a day
that is published anew keeps those that are the same. A user's rows lie in one shard, on every day and in every table,
so whatever is computed by user is computed shard by shard, in memory that does not grow with the users.
"""

from ab_platform.storage.archive.archive import Archive, Part
from ab_platform.storage.archive.contents import experiments_in
from ab_platform.storage.archive.layout import TABLES, TableName, arrow_schema, shards_of
from ab_platform.storage.archive.manifest import ArchivedDay, ArchivedFile

__all__ = [
    "TABLES",
    "Archive",
    "ArchivedDay",
    "ArchivedFile",
    "Part",
    "TableName",
    "arrow_schema",
    "experiments_in",
    "shards_of",
]
