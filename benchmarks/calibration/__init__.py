"""Calibration: how often what the platform says of simulated experiments is wrong, against how often it may be."""
