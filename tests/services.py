"""The services that the tests run against: a pytest plugin, loaded early by `-p tests.services`.

The first process of a run starts an embedded PostgreSQL and Redis in a temporary YUNTU_VAR and stops them at
its end; pytest-xdist's workers inherit their addresses. `DATABASE_URL` and `REDIS_URL` in the environment are
used instead where they are set. The addresses are known, and exported, before Django reads its settings; the
servers start only once there is something to run.
"""

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest

from common.embedded.errors import EmbeddedError
from common.embedded.layout import Layout
from common.embedded.services import EmbeddedServices

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


def redis_url_of_worker(url: str, worker: str) -> str:
    """The same Redis with a database number of the worker's own: gw0 counts one up, gw1 two."""
    if not worker:
        return url
    parts = urlsplit(url)
    number = int(worker.removeprefix("gw")) + 1
    if parts.scheme == "unix":
        query = parse_qs(parts.query)
        database = int(query.get("db", ["0"])[0]) + number
        # urlunsplit would drop the empty host's slashes.
        return f"unix://{parts.path}?{urlencode({**query, 'db': [str(database)]}, doseq=True)}"
    database = int(parts.path.strip("/") or 0) + number
    return urlunsplit(parts._replace(path=f"/{database}"))


class Services:
    """Starts the embedded services with the session and stops them at the very end."""

    def __init__(self, services: EmbeddedServices) -> None:
        self.services = services
        self.started = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            return
        try:
            self.services.start()
        except EmbeddedError as error:
            pytest.exit(f"The services of the tests do not start. {error}", returncode=4)
        self.started = True
        # A child of the tests finds the same servers, and starts none of its own.
        export_addresses(self.services.supervisor.layout)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        if self.started:
            self.services.stop()
        shutil.rmtree(self.services.supervisor.layout.var, ignore_errors=True)


def export_addresses(layout: Layout) -> None:
    os.environ.setdefault("DATABASE_URL", layout.database_url)
    os.environ.setdefault("REDIS_URL", layout.redis_url)


def pytest_configure(config: pytest.Config) -> None:
    if services is not None:
        config.pluginmanager.register(Services(services), "yuntu-services")


services: EmbeddedServices | None = None
if WORKER:
    os.environ["REDIS_URL"] = redis_url_of_worker(os.environ["REDIS_URL"], WORKER)
    # Channels do not belong to a database number: the prefix keeps the workers' messages apart.
    os.environ["REDIS_PREFIX"] = f"yuntu-{WORKER}"
    # Blobs and outboxes of its own.
    os.environ["YUNTU_VAR"] = str(Path(os.environ["YUNTU_VAR"], WORKER))
else:
    os.environ["YUNTU_VAR"] = str(Path(tempfile.gettempdir(), f"yuntu-tests-{secrets.token_hex(6)}"))
    layout = Layout(Path(os.environ["YUNTU_VAR"]))
    # Which services are needed is decided here, before their addresses are exported.
    services = EmbeddedServices(layout, durable=False, tell=lambda text: None)
    export_addresses(layout)
