"""Django's PostgreSQL, with a cheaper question whether a kept connection still lives."""
