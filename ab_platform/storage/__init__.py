"""The only place that runs SQL: schema, store (operational statements), aggregates (analytical expressions)."""
