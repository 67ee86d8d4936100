"""HTTP in, dataclass out: the service's web side. It decides nothing."""
