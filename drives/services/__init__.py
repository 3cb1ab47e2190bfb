"""Use cases of drives."""
