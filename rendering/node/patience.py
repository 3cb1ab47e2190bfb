"""Retries while the database or the storage is away for a moment: hours of rendering are not dropped for that."""

import errno
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")
logger = logging.getLogger(__name__)
SECONDS = 120
PAUSE_SECONDS = 1
DATABASE_AWAY = (OperationalError, InterfaceError)
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def is_passing(error: BaseException) -> bool:
    """Whether the call may succeed in a moment."""
    if isinstance(error, DATABASE_AWAY):
        return True
    return isinstance(error, OSError) and not (
        isinstance(error, FileNotFoundError | PermissionError) or error.errno in DISK_FULL
    )


def patiently(call: Callable[[], T], *, check: Callable[[], None] = lambda: None) -> T:
    """Call `call`, again and again for two minutes while it fails with an error that may pass.

    `check` is called before each further try and may raise. The last error of `call` is raised.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return call()
        except Exception as error:
            if not is_passing(error) or time.monotonic() > deadline:
                raise
            logger.warning("trying again: %s", error)
            if isinstance(error, DATABASE_AWAY):
                # Django opens a new connection only where the broken one was closed.
                connection.close_if_unusable_or_obsolete()
        time.sleep(PAUSE_SECONDS)
        check()
