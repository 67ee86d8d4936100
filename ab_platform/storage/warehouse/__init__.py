"""Engines that read users in the archive's files, with the expressions that the database reads its tables with.

What an analysis asks of users is `UserReads`: the store answers it from the database, `ArchiveReads` from the archive,
a shard at a time, through an engine. Everything added up is an integer, so that every engine gives the same digits.
"""

from ab_platform.storage.warehouse.archive_reads import ArchiveReads
from ab_platform.storage.warehouse.engine import Engine, Source
from ab_platform.storage.warehouse.opening import DATABASE, open_engine
from ab_platform.storage.warehouse.reads import UserReads

__all__ = ["DATABASE", "ArchiveReads", "Engine", "Source", "UserReads", "open_engine"]
