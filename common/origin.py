"""Where the current request comes from, for records of who did what: services know no request."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """Address and User-Agent of the client; both empty in commands and schedules."""

    ip: str = ""
    device: str = ""


NOWHERE = Origin()
current: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)
