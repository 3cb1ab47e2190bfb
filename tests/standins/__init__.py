"""Servers that stand in for services elsewhere, over real HTTP."""
