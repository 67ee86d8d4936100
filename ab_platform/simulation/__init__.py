"""Simulated worlds: visits with a lift that is known by construction, through the path that real events take."""

from ab_platform.simulation.plan import Plan
from ab_platform.simulation.running import Simulated, simulate
from ab_platform.simulation.worlds import WORLDS, World, world

__all__ = ["WORLDS", "Plan", "Simulated", "World", "simulate", "world"]
