"""Identifiers: time-ordered UUIDs, so that new primary keys go to the end of an index instead of all over it."""

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
    """The hash under which a random secret is stored and found: who reads the table cannot use it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
