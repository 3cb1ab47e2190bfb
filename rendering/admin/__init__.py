"""The farm as operators see it. Work is changed by deeds that call the services, never by editing rows."""

from rendering.admin import jobs, limits, nodes, records

__all__ = ["jobs", "limits", "nodes", "records"]
