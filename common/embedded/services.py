"""The embedded PostgreSQL and Redis, started unless the environment names servers of its own."""

import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from common.embedded.children import Child, ChildSpec
from common.embedded.errors import EmbeddedError
from common.embedded.layout import Layout
from common.embedded.postgres import Postgres
from common.embedded.redis import Redis
from common.embedded.supervisor import Supervisor, say

START_TIMEOUT = 60.0  # seconds; recovery after a crash may take some


class Service(Protocol):
    name: str

    def spec(self) -> ChildSpec: ...

    def is_ready(self) -> bool: ...


class EmbeddedServices:
    """PostgreSQL and Redis under one folder; a context manager.

    `DATABASE_URL` and `REDIS_URL` in the environment each replace one. `supervisor` takes further children,
    which are stopped before the services. Start and stop in the main thread.
    """

    def __init__(self, layout: Layout, *, durable: bool = True, tell: Callable[[str], None] = say) -> None:
        self.supervisor = Supervisor(layout, tell=tell)
        self.services: list[Service] = []
        if not os.environ.get("DATABASE_URL"):
            self.services.append(Postgres(layout, durable=durable))
        if not os.environ.get("REDIS_URL"):
            self.services.append(Redis(layout))

    def start(self) -> None:
        """Return when the services answer. Raises EmbeddedError, and leaves nothing, where they cannot."""
        self.supervisor.__enter__()
        try:
            started = [(service, self.supervisor.start(service.spec())) for service in self.services]
            for service, child in started:
                _wait_until_ready(service, child)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the services and everything else the supervisor has started."""
        self.supervisor.__exit__(None, None, None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _wait_until_ready(service: Service, child: Child) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not service.is_ready():
        if not child.running:
            raise EmbeddedError(f"{service.name} ended with {child.exit_code}:\n{child.last_words()}")
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"{service.name} is not ready after {START_TIMEOUT:g} s:\n{child.last_words()}"
            )
        time.sleep(0.02)
