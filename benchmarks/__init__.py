"""Measurements that end up in the docs, each with the command that makes it."""
