"""A simulation straight into the archive, past the database: for more users than one database takes in a day."""

from ab_platform.simulation.archived.simulating import ArchivedSimulation, simulate_into

__all__ = ["ArchivedSimulation", "simulate_into"]
