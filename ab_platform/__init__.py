"""An online A/B experimentation platform for recommenders."""

__version__ = "0.1.0"
