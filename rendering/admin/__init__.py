"""The farm as operators see it. Jobs and nodes are changed by deeds, which call the services; rows are never edited."""

from rendering.admin import jobs, limits, nodes, records

__all__ = ["jobs", "limits", "nodes", "records"]
