"""Identifiers: time-ordered UUIDs, so that primary keys are appended to an index instead of scattered in it."""

import hashlib
from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562), ascending with time."""
    return uuid7()


def as_uuid(value: object) -> UUID | None:
    """The UUID that `value` spells, or None."""
    try:
        return UUID(str(value))
    except ValueError:
        return None


def digest(secret: str) -> str:
    """How a random secret is kept, and found again: whoever reads the table cannot use it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
