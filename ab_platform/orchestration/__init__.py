"""Airflow from outside: its processes on this machine, its REST interface, and a run that is followed to its end."""
