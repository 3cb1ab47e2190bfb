"""PostgreSQL and Redis as children of one small supervisor, for a laptop, the demo and the tests.

Standard library only; importing it does nothing.
"""
