"""Runs one program to its end, or ends it: its whole process tree, whatever it left behind.

The program gets a session of its own, a parent-death signal and a token in its environment, by which children
that left the process group are found.
"""

from rendering.runner.plain import Places
from rendering.runner.run import NODE_TOKEN, TOKEN, End, Limits, Outcome, run

__all__ = ["NODE_TOKEN", "TOKEN", "End", "Limits", "Outcome", "Places", "run"]
