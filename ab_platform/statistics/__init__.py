"""Inference as pure functions of per-arm moments, values and counts; the unit is the user.

Each module is one question. They import numpy and scipy only.

    moments               what is kept of an arm
    lift                  by how much, with an interval and a p-value that always agree
    cuped, cupac          less variance, from what users did before their exposure
    quantile, winsorised  metrics that a few heavy users do not rule
    monitoring            how often may one look: once, at any time (`confidence_sequence`), as planned
                          (`group_sequential`, by `recursion`)
    multiplicity          several rows that decide
    sample_ratio          did the arms get their users, and where not (`split_diagnosis`)
    segment_differences   is the lift the same for everyone
    decision              what all of it says together
    power                 how many users, or how small a lift
"""
