"""Pages of models that span the apps."""

from backoffice.admin import people, schedules

__all__ = ["people", "schedules"]
