"""Use cases of uploads."""
