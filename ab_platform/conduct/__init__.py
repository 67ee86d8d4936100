"""An experiment from its launch to its decision: the steps of its ramp, what lets it go on, what stops it.

Every function is one step, repeats without effect, and is all that an orchestrator's task calls; `course` takes them
one after the other in this process.
"""
