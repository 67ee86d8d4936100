"""Recommenders: the arms of an experiment. This package never imports the platform."""
