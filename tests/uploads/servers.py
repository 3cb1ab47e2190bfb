"""The web servers of production and of `make run` in processes of their own, over the database of the tests."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.db import connection

from common.processes import parent_death_signal

REPOSITORY = Path(__file__).resolve().parents[2]
KINDS = {
    "wsgi": "gunicorn config.wsgi:application --bind fd://{fd} --worker-class common.workers.StayingWorker"
    " --workers 2 --threads 8",
    "asgi": "uvicorn config.asgi:application --fd {fd} --loop uvloop --http httptools --lifespan off",
}


def database_url() -> str:
    """Address of the database that the tests of this process write to."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))


class WebServer:
    """A server on a free port of loopback. Its socket outlives it: who connects in between waits for the next one."""

    def __init__(self, kind: str, **environment: str) -> None:
        self.kind, self.environment = kind, environment
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api/v1"
        self.start()

    def start(self) -> None:
        arguments = KINDS[self.kind].format(fd=self.listener.fileno()).split()
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments, "--log-level", "error"],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "DATABASE_URL": database_url(),
                "YUNTU_VAR": str(settings.YUNTU_VAR),
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                **self.environment,
            },
            pass_fds=[self.listener.fileno()],
            start_new_session=True,
            preexec_fn=parent_death_signal(signal.SIGKILL),
        )

    def kill(self) -> None:
        """As a power cut would end it: every process at once, without a word."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def close(self) -> None:
        self.kill()
        self.listener.close()
