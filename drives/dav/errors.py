"""What WebDAV clients are told, from what the services refuse with."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from wsgidav.dav_error import HTTP_INSUFFICIENT_STORAGE, DAVError

from common.errors import DomainError, Invalid, NotVisible
from drives.errors import IntoItself, NameTaken, QuotaExceeded

logger = logging.getLogger(__name__)
HTTP_SERVICE_UNAVAILABLE = 503
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
    """Raises DAVError in place of DomainError, and of OSError: where the storage fails, it may be tried again."""
    try:
        yield
    except DomainError as error:
        status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), error.status)
        raise DAVError(status, str(error)) from error
    except OSError as error:
        logger.exception("the storage failed under a client of WebDAV")
        is_full = error.errno == errno.ENOSPC
        raise DAVError(HTTP_INSUFFICIENT_STORAGE if is_full else HTTP_SERVICE_UNAVAILABLE) from error
