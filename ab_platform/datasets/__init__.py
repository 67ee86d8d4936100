"""Files of interactions and titles, by name or by path, into the store: `ingest.ingest`, and the names in `catalog`."""
