"""Shapes of accounts on the wire."""
