"""Inference as pure functions of per-arm moments and counts; the unit is the user.

Each module is one question: `moments` (what is kept of an arm), `lift` (by how much, and is it real), `sample_ratio`
(did the arms get their users), `power` (how many users, or how small a lift). They import numpy and scipy only.
"""
