"""How fast the service is, side by side with a handler that does nothing, on SQLite and PostgreSQL."""
