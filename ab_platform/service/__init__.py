"""What a worker of the online service does between its requests and the store."""
