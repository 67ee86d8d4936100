"""Files of interactions and titles, by name or by path, into the store."""

from ab_platform.datasets.catalog import NAMES
from ab_platform.datasets.ingest import Ingested, ingest
from ab_platform.datasets.naming import ColumnNames
from ab_platform.datasets.source import IngestProgress

__all__ = ["NAMES", "ColumnNames", "IngestProgress", "Ingested", "ingest"]
