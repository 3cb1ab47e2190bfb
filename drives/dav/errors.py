"""What WebDAV clients are told, from what the services refuse with."""

from collections.abc import Iterator
from contextlib import contextmanager

from wsgidav.dav_error import DAVError

from common.errors import DomainError, Invalid, NotVisible
from drives.errors import IntoItself, NameTaken, QuotaExceeded

STATUSES: dict[type[DomainError], int] = {
    QuotaExceeded: 507,
    IntoItself: 403,
    NameTaken: 409,
    NotVisible: 409,
    Invalid: 400,
}
"""Where they differ from the API's. What is asked for was found before: what is not visible then is its place."""


@contextmanager
def translated() -> Iterator[None]:
    """Raises DAVError in place of DomainError."""
    try:
        yield
    except DomainError as error:
        status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), error.status)
        raise DAVError(status, str(error)) from error
